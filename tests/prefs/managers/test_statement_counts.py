"""How many statements each call sends, and of which kind: no more, no fewer, in every route."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from prefs.codec import InvalidDocument
from prefs.models import NotificationPreferences, UserPreferences
from prefs.routing import READ_TABLES, MissingSwitch
from prefs.sql import documents, writes
from prefs.sql.places import placed
from tests.support import stores
from tests.support.stores import NOBODY, Place
from tests.support.tampering import remove_switches

# A test of autocommit needs real transactions; every other runs inside one, as callers do.
pytestmark = pytest.mark.django_db
autocommit = pytest.mark.django_db(transaction=True)

TEXT = '{"theme": "light", "beta": 1}'
ALONE = ("BEGIN", "COMMIT", "ROLLBACK")
INSIDE = ("SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK TO SAVEPOINT")
READS: dict[str, Callable[[int], Any]] = {
    "document": UserPreferences.objects.document,
    "document_text": UserPreferences.objects.document_text,
    "documents": lambda user: UserPreferences.objects.documents([user, NOBODY]),
    "audience": lambda _: list(NotificationPreferences.objects.audience("email", "digest")),
}
WRITES: dict[str, Callable[[int], Any]] = {
    "replace": lambda user: UserPreferences.objects.replace(user, {"theme": "dark"}),
    "merge": lambda user: UserPreferences.objects.merge(user, {"theme": "dark"}),
}


def kind(statement: str) -> str:
    """What a captured statement is, by how it begins and by the lock it takes."""
    for word in sorted(ALONE + INSIDE, key=len, reverse=True):
        if statement.startswith(word):
            return word
    if statement.endswith("FOR NO KEY UPDATE OF u"):
        return "LOCK"
    return (
        "WRITE"
        if re.match(r'SELECT \* FROM "public"\."prefs_(replace|merge)_', statement)
        else "READ"
    )


def kinds_of(call: Callable[[], Any]) -> list[str]:
    """The kinds of the statements that a call sends, in order."""
    with CaptureQueriesContext(connection) as captured:
        call()
    return [kind(query["sql"]) for query in captured]


def kinds_of_each(calls: Mapping[str, Callable[[int], Any]], user: int) -> dict[str, list[str]]:
    """The same for several calls, each made twice: the second must send what the first did."""
    first = {name: kinds_of(partial(call, user)) for name, call in calls.items()}
    second = {name: kinds_of(partial(call, user)) for name, call in calls.items()}
    assert first == second
    return first


@autocommit
def test_a_read_alone_is_one_statement(place: Place) -> None:
    user = stores.insert_user(place, TEXT)
    assert kinds_of_each(READS, user) == {name: ["READ"] for name in READS}


def test_a_read_in_a_callers_transaction_is_one_statement(place: Place) -> None:
    user = stores.insert_user(place, TEXT)
    assert kinds_of_each(READS, user) == {name: ["READ"] for name in READS}


@autocommit
def test_a_write_alone_is_a_lock_and_a_write_in_a_transaction(place: Place) -> None:
    user = stores.insert_user(place, TEXT)
    expected = ["BEGIN", "LOCK", "WRITE", "COMMIT"]
    assert kinds_of_each(WRITES, user) == dict.fromkeys(WRITES, expected)


def test_a_write_in_a_callers_transaction_is_the_same_in_a_savepoint(place: Place) -> None:
    user = stores.insert_user(place, TEXT)
    expected = ["SAVEPOINT", "LOCK", "WRITE", "RELEASE SAVEPOINT"]
    assert kinds_of_each(WRITES, user) == dict.fromkeys(WRITES, expected)


def refused(write: Callable[[int], Any], user: int) -> None:
    """Make a write that is refused."""
    with pytest.raises((InvalidDocument, MissingSwitch, get_user_model().DoesNotExist)):
        write(user)


# Each is refused, after it sent these statements.
REFUSED: dict[str, tuple[Callable[[int], Any], list[str]]] = {
    "not JSON": (lambda user: UserPreferences.objects.replace(user, {"x": {1}}), []),
    "no such key": (lambda _: UserPreferences.objects.merge(2**70, {"theme": "dark"}), []),
    "no such user": (lambda _: UserPreferences.objects.merge(NOBODY, {"x": 1}), ["LOCK"]),
    "bad leaf": (lambda user: UserPreferences.objects.merge(user, {"theme": 1}), ["LOCK", "WRITE"]),
}
REFUSED_CALLS = {name: partial(refused, call) for name, (call, _) in REFUSED.items()}


@autocommit
def test_a_refused_write_alone_rolls_its_transaction_back(place: Place) -> None:
    user = stores.insert_user(place, TEXT)
    assert kinds_of_each(REFUSED_CALLS, user) == {
        name: ["BEGIN", *sent, "ROLLBACK"] if sent else [] for name, (_, sent) in REFUSED.items()
    }


def test_a_refused_write_rolls_back_its_own_savepoint_alone(place: Place) -> None:
    user = stores.insert_user(place, TEXT)
    undo = ["ROLLBACK TO SAVEPOINT", "RELEASE SAVEPOINT"]
    assert kinds_of_each(REFUSED_CALLS, user) == {
        name: ["SAVEPOINT", *sent, *undo] if sent else [] for name, (_, sent) in REFUSED.items()
    }


@autocommit
def test_a_missing_switch_is_found_by_the_lock_before_any_write(place: Place) -> None:
    user = stores.insert_user(place, TEXT)
    remove_switches(READ_TABLES)
    sent = kinds_of(partial(refused, WRITES["merge"], user))
    assert sent == ["BEGIN", "LOCK", "ROLLBACK"]


def test_the_statements_sent_are_those_of_the_language(place: Place) -> None:
    user = stores.insert_user(place, TEXT)
    with CaptureQueriesContext(connection) as captured:
        UserPreferences.objects.document(user)
        UserPreferences.objects.merge(user, {"theme": "dark"})
    parameters = {"user": user, "id": user, "input": '{"theme": "dark"}', "unknown": []}
    expected = [
        (documents.read_one(), parameters),
        (writes.lock(), parameters),
        (writes.write(place.route, writes.MERGE), {**parameters, "max_bytes": 1_048_576}),
    ]
    with connection.cursor() as cursor:
        rendered = [cursor.mogrify(placed(text, connection), given) for text, given in expected]
    sent = [query["sql"] for query in captured if not query["sql"].startswith(ALONE + INSIDE)]
    assert sent == rendered


def test_each_page_of_an_audience_is_one_statement(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefs.managers._AUDIENCE_PAGE", 2)
    stores.insert_users(place, ['{"notifications": {"email": {"digest": "daily"}}}'] * 5)
    assert kinds_of(lambda: READS["audience"](0)) == ["READ"] * 3

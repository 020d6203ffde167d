"""In `TABLES` raw SQL may write a typed row without the user's lock: no manager writes over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from prefs.models import UserPreferences
from prefs.sql import planned
from tests.support.places import EnterRoute
from tests.support.sessions import PATIENCE, second_session, waits_behind_us
from tests.support.stores import Place, insert_user, query

pytestmark = pytest.mark.django_db(transaction=True)

STORED = '{"theme": "light", "language": "en", "notifications": {"push": {"mentions": true}}}'
ODD = '{"theme": "light", "language": "en", "more": {"x": 1}, "items_per_page": "many"}'

RAW = {
    "the user row": ("UPDATE user_preferences SET theme = 'dark' WHERE user_id = %s", "theme"),
    "the notification row": (
        "UPDATE notification_preferences SET email_digest = 'daily' WHERE user_id = %s",
        "notifications.email.digest",
    ),
}
WRITES: dict[str, Callable[[int], Any]] = {
    "a merge of the same row's leaf": lambda user: merge(user, {"language": "de"}),
    "a merge of the other row's leaf": lambda user: merge(
        user, {"notifications": {"push": {"messages": True}}}
    ),
    "a merge of both": lambda user: merge(
        user, {"language": "de", "notifications": {"push": {"messages": True}}}
    ),
    "a merge of what fits no column": lambda user: merge(user, {"more": {"y": 2}}),
    "an update by the ORM": lambda user: UserPreferences.objects.filter(pk=user).update(
        language="de"
    ),
    "a change": lambda user: UserPreferences.objects.change({user: {"language": ["de"]}}),
}


def merge(user: int, patch: Any) -> Any:
    return UserPreferences.objects.merge(user, patch)


def at(document: Any, dotted: str) -> Any:
    for name in dotted.split("."):
        document = document[name]
    return document


def written_meanwhile(user: int, raw: str, write: Callable[[int], Any]) -> Any:
    """A raw write that a manager's comes to wait for, or passes; the document afterwards."""
    with second_session() as session:
        with transaction.atomic():
            query(raw, [user])
            begun = session.start(lambda: write(user))
            waits_behind_us(session, begun)
        begun.result(PATIENCE)
    return UserPreferences.objects.document(user)


@pytest.mark.parametrize("place", [Place.TABLES, Place.DROPPED])
@pytest.mark.parametrize("before", [STORED, ODD])
@pytest.mark.parametrize("raw", RAW)
@pytest.mark.parametrize("how", WRITES)
def test_a_raw_write_that_commits_while_a_manager_waits_for_it_stays(
    in_route: EnterRoute, place: Place, before: str, raw: str, how: str
) -> None:
    """Case B20: it was written over by a whole row that had been read before it."""
    user = insert_user(in_route(place), before)
    statement, dotted = RAW[raw]
    found = written_meanwhile(user, statement, WRITES[how])
    assert at(found, dotted) == {"theme": "dark"}.get(dotted, "daily")
    assert found["language"] == (
        "de" if '"de"' in repr(how) or "same" in how else found["language"]
    )


def test_a_replacement_that_comes_after_a_raw_write_replaces_it(in_route: EnterRoute) -> None:
    user = insert_user(in_route(Place.TABLES), STORED)
    new = {"theme": "system", "n": 1}
    statement, _ = RAW["the user row"]
    found = written_meanwhile(user, statement, lambda u: UserPreferences.objects.replace(u, new))
    assert found == new


def test_a_merge_that_takes_any_version_for_the_one_it_read_is_noticed(
    in_route: EnterRoute,
) -> None:
    """Case B20, broken on purpose: the statement as it was."""
    user = insert_user(in_route(Place.TABLES), STORED)
    create = planned.functions()["prefs_merge_tables"].create
    broken = create.replace(" AND d.xmin = s.user_version", "")
    assert broken != create
    query(broken)
    try:
        statement, _ = RAW["the user row"]
        found = written_meanwhile(user, statement, lambda u: merge(u, {"language": "de"}))
        assert found["theme"] == "light"
    finally:
        query(create)

"""Bulk writes of users store preferences by route, under the users' locks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DataError, IntegrityError, transaction
from django.db.models import Case, F, Func, JSONField, Value, When
from django.db.models.fields.json import KT
from django.db.models.functions import JSONObject
from django.db.transaction import TransactionManagementError

from prefs import instances, querysets
from prefs.codec import InvalidDocument
from prefs.models import UserPreferences
from prefs.querysets import UnknownInsertions
from project.accounts.models import User
from tests.prefs.fields.people import BEFORE, ODD, add, add_many, exactly, statements, stored
from tests.support import stores
from tests.support.stores import Place

pytestmark = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)
# Of no type, because mypy knows no field without a column.
USERS: Any = User.objects


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of three, so that a few users are several."""
    monkeypatch.setattr(instances, "CHUNK", 3)
    monkeypatch.setattr(querysets, "CHUNK", 3)


def documents() -> list[str]:
    """Everyone's document, in key order."""
    users = UserPreferences.objects.documents(USERS.values_list("pk", flat=True))
    return [exactly(users[key]) for key in sorted(users)]


# --- update -------------------------------------------------------------------------------


@pytest.mark.parametrize("document", ODD, ids=str)
def test_update_sets_the_document_of_every_row(place: Place, document: Any) -> None:
    ids = add_many(place, 7)
    assert USERS.filter(pk__in=ids[:5]).update(preferences=document) == 5
    assert [stored(place, key) for key in ids[:5]] == [exactly(document)] * 5
    assert [stored(place, key) for key in ids[5:]] == [exactly({"n": 5}), exactly({"n": 6})]


def test_update_sets_other_fields_too_and_counts_each_row_once(place: Place) -> None:
    ids = add_many(place, 4)
    changed = USERS.order_by("-pk").update(preferences={"theme": "dark"}, first_name="Ada")
    assert changed == 4
    assert USERS.filter(first_name="Ada", preferences__theme="dark").count() == len(ids)
    assert USERS.filter(preferences__n=0).update(preferences={}) == 0


def test_update_may_filter_by_what_it_changes(place: Place) -> None:
    add_many(place, 7)
    assert USERS.filter(preferences__n__lt=5).update(preferences={"n": 9}) == 5
    assert documents() == [exactly({"n": n}) for n in (9, 9, 9, 9, 9, 5, 6)]


EXPRESSIONS: dict[str, tuple[Any, Callable[[int], Any]]] = {
    "a path of the document": (F("preferences__n"), lambda n: n),
    "a value": (Value({"theme": "dark"}, JSONField()), lambda _: {"theme": "dark"}),
    "an object": (JSONObject(n="preferences__n", name="last_name"), lambda n: {"n": n, "name": ""}),
    "a case": (
        Case(
            When(preferences__n__lt=3, then=Value([1.0], JSONField())), default=F("preferences")
        ),
        lambda n: [1.0] if n < 3 else {"n": n},
    ),
    "a function": (
        Func(
            F("preferences"), Value({"a": 1}, JSONField()), template="%(expressions)s",
            arg_joiner=" || ", output_field=JSONField(),
        ),
        lambda n: {"n": n, "a": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_update_takes_an_expression(place: Place, name: str) -> None:
    add_many(place, 5)
    expression, expected = EXPRESSIONS[name]
    assert USERS.update(preferences=expression, first_name="Ada") == 5
    assert documents() == [exactly(expected(n)) for n in range(5)]


def test_update_may_set_other_fields_to_parts_of_the_document_it_replaces(place: Place) -> None:
    add_many(place, 4)
    USERS.update(first_name=KT("preferences__n"), preferences={})
    names = USERS.order_by("pk").values_list("first_name", flat=True)
    assert list(names) == ["0", "1", "2", "3"]
    assert documents() == ["{}"] * 4


def test_update_tells_json_null_from_sql_null(place: Place) -> None:
    user = add(place)
    USERS.update(preferences=Value(None, JSONField()))
    assert UserPreferences.objects.document_text(user.pk) == "null"
    assert USERS.update(preferences=F("preferences")) == 1
    assert UserPreferences.objects.document_text(user.pk) == "null"
    USERS.update(preferences=None)
    assert stores.primary_text(place, user.pk) is None


def test_update_of_a_slice_is_refused_and_so_is_what_jsonb_cannot_hold(place: Place) -> None:
    user = add(place)
    with pytest.raises(TypeError, match="slice"):
        USERS.all()[:1].update(preferences={})
    with pytest.raises(InvalidDocument), transaction.atomic():
        USERS.update(preferences={"x": "\x00"}, first_name="Ada")
    assert stored(place, user) == exactly(BEFORE)
    assert USERS.get().first_name == ""


def test_update_of_a_related_manager_and_of_nobody(place: Place) -> None:
    assert USERS.none().update(preferences={}) == 0
    assert USERS.update(preferences={}) == 0


# --- bulk_create --------------------------------------------------------------------------


def made(*values: Any) -> list[User]:
    """Unsaved users with these documents; ... is one without."""
    users = [User(username=f"user {number}") for number in range(len(values))]
    for user, value in zip(users, values, strict=True):
        if value is not ...:
            user.preferences = value
    return users


@pytest.mark.parametrize("batch_size", [None, 2])
def test_bulk_create_stores_each_document(place: Place, batch_size: int | None) -> None:
    users = USERS.bulk_create(iter(made(..., *ODD)), batch_size=batch_size)
    assert [stored(place, user) for user in users] == ["{}", *map(exactly, ODD)]
    assert [exactly(user.preferences) for user in users] == ["{}", *map(exactly, ODD)]


def test_bulk_create_without_preferences_costs_what_it_did(place: Place) -> None:
    assert len(statements(lambda: USERS.bulk_create(made(..., ..., ...)))) == 1


@committing
def test_bulk_create_stores_all_or_nothing(place: Place) -> None:
    with pytest.raises(InvalidDocument):
        USERS.bulk_create(made(..., {}, {}, {}, {"x": "\x00"}))
    with pytest.raises(IntegrityError):
        USERS.bulk_create([User(username="a", preferences={}) for _ in range(2)])
    assert USERS.count() == 0


@committing
def test_a_user_that_was_created_in_bulk_saves_what_is_changed_later(place: Place) -> None:
    [user] = USERS.bulk_create(made({"a": 1}))
    UserPreferences.objects.merge(user.pk, {"b": 1})
    user.preferences["a"] = 2
    user.save()
    assert stored(place, user) == exactly({"a": 2, "b": 1})


def test_ignored_conflicts_and_documents_are_refused_before_anything_is_written(
    place: Place,
) -> None:
    with pytest.raises(UnknownInsertions, match="ignore_conflicts cannot store preferences"):
        USERS.bulk_create(made(..., {"x": 1}), ignore_conflicts=True)
    assert USERS.count() == 0
    USERS.bulk_create(made({}), ignore_conflicts=True)
    USERS.bulk_create(made(..., ...), ignore_conflicts=True)
    assert documents() == ["{}", "{}"]


UNIQUE: Any = {"update_conflicts": True, "unique_fields": ["username"]}


@pytest.mark.parametrize("others", [[], ["first_name"]])
def test_conflicts_update_documents_that_are_named(place: Place, others: list[str]) -> None:
    USERS.bulk_create(made({"old": 1}, {"old": 1}))
    again = made({"new": 1}, ..., {"new": 2})
    for user in again:
        user.first_name = "Ada"
    USERS.bulk_create(again, update_fields=[*others, "preferences"], **UNIQUE)
    assert documents() == [exactly({"new": 1}), "{}", exactly({"new": 2})]
    names = USERS.order_by("pk").values_list("first_name", flat=True)
    assert list(names) == ["Ada" if others else "", "Ada" if others else "", "Ada"]


def test_conflicts_that_update_other_fields_refuse_documents(place: Place) -> None:
    USERS.bulk_create(made({"old": 1}))
    with pytest.raises(UnknownInsertions, match="Name preferences in update_fields"):
        USERS.bulk_create(made({"x": 1}), update_fields=["first_name"], **UNIQUE)
    USERS.bulk_create(made(...), update_fields=["first_name"], **UNIQUE)
    assert documents() == [exactly({"old": 1})]


# --- bulk_update --------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [["preferences"], ["first_name", "preferences"]])
@pytest.mark.parametrize("batch_size", [None, 2])
def test_bulk_update_stores_what_changed(
    place: Place, fields: list[str], batch_size: int | None
) -> None:
    ids = add_many(place, 7)
    users = [USERS.get(pk=key) for key in ids]
    for user in users[1:]:
        user.preferences["theme"], user.first_name = "dark", "Ada"
    users[0].preferences = [1]
    UserPreferences.objects.merge(ids[3], {"added": 1})
    assert USERS.bulk_update(reversed(users), fields, batch_size=batch_size) == 7
    added = [{"n": n, "theme": "dark"} for n in range(1, 7)]
    added[2]["added"] = 1
    assert [stored(place, key) for key in ids] == [exactly([1]), *map(exactly, added)]
    named = USERS.filter(first_name="Ada").count()
    assert named == (6 if "first_name" in fields else 0)


def test_bulk_update_leaves_out_rows_that_are_gone_or_not_selected(place: Place) -> None:
    users = [USERS.get(pk=key) for key in add_many(place, 3)]
    for user in users:
        user.preferences = {}
    USERS.filter(pk=users[0].pk).delete()
    chosen = USERS.exclude(pk=users[1].pk)
    assert chosen.bulk_update(users, ["preferences"]) == 1
    assert documents() == [exactly({"n": 1}), "{}"]
    with pytest.raises(ValueError, match="primary key"):
        USERS.bulk_update(made({}), ["preferences"])


def test_bulk_update_of_other_fields_stores_no_document(place: Place) -> None:
    user = add(place)
    user.preferences["theme"], user.first_name = "dark", "Ada"
    assert USERS.bulk_update([user], ["first_name"]) == 1
    assert stored(place, user) == exactly(BEFORE)


def test_bulk_update_takes_expressions(place: Place) -> None:
    users = [USERS.get(pk=key) for key in add_many(place, 2)]
    for user in users:
        user.preferences = F("preferences__n")
    USERS.bulk_update(users, ["preferences"])
    assert documents() == ["0", "1"]


ORDERED: dict[str, Callable[[list[User]], object]] = {
    "update": lambda _: USERS.order_by("-pk").update(preferences={}),
    "bulk_update": lambda users: USERS.bulk_update(users[::-1], ["preferences"]),
}


@pytest.mark.parametrize("name", ORDERED)
def test_users_are_locked_in_key_order_chunk_after_chunk(place: Place, name: str) -> None:
    ids = add_many(place, 7)
    users = list(USERS.order_by("pk"))
    for user in users:
        user.preferences = {}
    sent = statements(lambda: ORDERED[name](users))
    locks = [text for text in sent if text.endswith("FOR NO KEY UPDATE")]
    assert all("ORDER BY" in text for text in locks)
    changes = [text.split("prefs_change_")[1] for text in sent if "prefs_change_" in text]
    chunks = [list(map(int, re.findall(r"\d+", text.split("::")[0]))) for text in changes]
    assert [sorted(chunk) for chunk in chunks] == [ids[:3], ids[3:6], ids[6:]]
    assert len(locks) == len(chunks)


# --- the rest of a manager ------------------------------------------------------------------


def test_get_or_create_and_update_or_create_store_documents(place: Place) -> None:
    defaults = {"preferences": {"theme": "dark"}}
    user, created = USERS.get_or_create(username="a", defaults=defaults)
    assert (created, stored(place, user)) == (True, exactly({"theme": "dark"}))
    found, created = USERS.get_or_create(username="a", defaults={"preferences": {}})
    assert (created, found.preferences) == (False, {"theme": "dark"})
    changed, created = USERS.update_or_create(
        username="a", defaults={"preferences": {"theme": "light"}}
    )
    assert (created, stored(place, changed)) == (False, exactly({"theme": "light"}))
    made_anew, created = USERS.update_or_create(username="b", defaults=defaults)
    assert (created, stored(place, made_anew)) == (True, exactly({"theme": "dark"}))
    by_document, created = USERS.get_or_create(
        preferences__theme="light", defaults={"username": "c"}
    )
    assert (created, by_document.username) == (False, "a")


def test_a_caught_error_breaks_a_callers_transaction_as_any_error_of_a_save_does(
    place: Place,
) -> None:
    user = add(place)
    user.preferences = {"x": "\x00"}
    for work in (lambda: USERS.update(preferences={"x": "\x00"}), user.save):
        with transaction.atomic():
            with pytest.raises(DataError) as caught:
                work()
            assert isinstance(caught.value, InvalidDocument)
            with pytest.raises(TransactionManagementError):
                USERS.count()
            transaction.set_rollback(True)
        assert USERS.count() == 1

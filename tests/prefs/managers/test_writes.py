"""A write writes exactly the stores of its route, and nothing where nothing changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from prefs.codec import UndecodableDocument
from prefs.models import UserPreferences
from prefs.routing import SWITCHES, MissingSwitch
from tests.support import stores
from tests.support.places import EnterRoute
from tests.support.stores import DECOY, NOBODY, Place, query
from tests.support.tampering import remove_switches, tamper

pytestmark = pytest.mark.django_db

BEFORE = '{"theme": "light", "beta": [1, 2.5], "notifications": {"push": {"mentions": true}}}'
AFTER = {"theme": "dark", "beta": {"x": 1}, "notifications": {"email": {"digest": "weekly"}}}
Write = Callable[[int], Any]


def replace(user: int) -> Any:
    return UserPreferences.objects.replace(user, AFTER)


def merge(user: int) -> Any:
    notifications = {"email": {"digest": "weekly"}, "push": None}
    return UserPreferences.objects.merge(user, {**AFTER, "notifications": notifications})


both_writes = pytest.mark.parametrize("write", [replace, merge], ids=lambda w: w.__name__)


@both_writes
def test_a_write_is_what_every_later_read_answers(place: Place, write: Write) -> None:
    user = stores.insert_user(place, BEFORE)
    for _ in range(2):
        assert write(user) == AFTER
        assert UserPreferences.objects.document(user) == AFTER
        text = stores.as_jsonb(json.dumps(AFTER))
        assert UserPreferences.objects.document_text(user) == text
        assert stores.primary_text(place, user) == text


@both_writes
def test_a_mirrored_write_leaves_both_stores_equal(mirrored_place: Place, write: Write) -> None:
    user = stores.insert_user(mirrored_place, BEFORE)
    for _ in range(2):
        write(user)
        assert not stores.differ(user)
        assert stores.blob_text(user) == stores.tables_text(user)


@both_writes
def test_an_unmirrored_write_leaves_the_other_store_alone(
    in_route: EnterRoute, write: Write
) -> None:
    user = stores.insert_user(in_route(Place.BLOB), BEFORE)
    before = stores.versions(user)
    for _ in range(2):
        write(user)
        assert stores.tables_text(user) == stores.as_jsonb(DECOY)
        assert stores.versions(user) == before | {
            "accounts_user": stores.versions(user)["accounts_user"]
        }
    assert stores.versions(user)["accounts_user"] != before["accounts_user"]


@both_writes
def test_a_tables_write_leaves_the_blob_alone(in_route: EnterRoute, write: Write) -> None:
    user = stores.insert_user(in_route(Place.TABLES), BEFORE)
    before = stores.versions(user)
    for _ in range(2):
        write(user)
        assert stores.blob_text(user) == stores.as_jsonb(DECOY)
        assert stores.versions(user)["accounts_user"] == before["accounts_user"]
    assert stores.versions(user)["user_preferences"] != before["user_preferences"]


def test_a_blob_write_makes_no_typed_rows(in_route: EnterRoute) -> None:
    user = stores.insert_user(in_route(Place.BLOB), BEFORE)
    stores.delete_rows(user)
    assert replace(user) == AFTER
    assert stores.versions(user)["user_preferences"] == []
    assert stores.versions(user)["notification_preferences"] == []


@pytest.mark.parametrize("text", [BEFORE, "{}", "[1, 2.0]", '"x"', "null", None], ids=str)
def test_writing_an_equal_document_writes_no_row(place: Place, text: str | None) -> None:
    user = stores.insert_user(place, text)
    before = stores.versions(user)
    document = UserPreferences.objects.document(user)
    for _ in range(2):
        assert UserPreferences.objects.replace(user, document) == document
        assert stores.versions(user) == before
        if isinstance(document, dict):
            assert UserPreferences.objects.merge(user, {"no_such_key": None}) == document
            assert stores.versions(user) == before
            assert UserPreferences.objects.merge(user, {}) == document
            assert stores.versions(user) == before


def test_a_write_touches_only_the_rows_that_change(table_place: Place) -> None:
    user = stores.insert_user(table_place, BEFORE)
    before = stores.versions(user)
    UserPreferences.objects.merge(user, {"theme": "dark"})
    after = stores.versions(user)
    assert after["notification_preferences"] == before["notification_preferences"]
    assert after["user_preferences"] != before["user_preferences"]


def test_and_locks_no_other(table_place: Place) -> None:
    """xmax is 0 in a row that nobody has updated, deleted or locked since it was written."""
    user = stores.insert_user(table_place, BEFORE)
    UserPreferences.objects.merge(user, {"theme": "dark", "notifications": {"push": None}})
    UserPreferences.objects.merge(user, {"notifications": {"push": {"mentions": False}}})
    for table in ("user_preferences", "notification_preferences"):
        assert query(f"SELECT xmax::text FROM {table} WHERE user_id = %s", [user]) == [("0",)]


@pytest.mark.parametrize("table", ["user_preferences", "notification_preferences"])
@both_writes
def test_a_row_that_is_missing_is_made_and_the_other_written(
    table_place: Place, write: Write, table: str
) -> None:
    user = stores.insert_user(table_place, BEFORE)
    tamper(f"DELETE FROM {table} WHERE user_id = %s", user)
    assert write(user) == UserPreferences.objects.document(user)
    assert UserPreferences.objects.document(user) == AFTER
    assert [len(rows) for rows in stores.versions(user).values()] == [1, 1, 1]


def test_the_first_write_of_a_user_without_rows_makes_both(table_place: Place) -> None:
    user = stores.insert_user(table_place, "{}")
    stores.delete_rows(user)
    for _ in range(2):
        assert UserPreferences.objects.merge(user, {"theme": "dark"}) == {"theme": "dark"}
        rows = stores.versions(user)
        assert len(rows["user_preferences"]) == len(rows["notification_preferences"]) == 1
    if table_place.route.mirrored:
        assert not stores.differ(user)


def test_a_mirrored_write_of_one_leaf_repairs_the_whole_mirror(mirrored_place: Place) -> None:
    user = stores.insert_user(mirrored_place, BEFORE)
    if mirrored_place.route.reads_tables:
        stores.fill_blob(user, DECOY)
    else:
        stores.fill_tables([user], [DECOY])
    assert stores.differ(user)
    expected = {**UserPreferences.objects.document(user), "theme": "dark"}
    for _ in range(2):
        assert UserPreferences.objects.merge(user, {"theme": "dark"}) == expected
        assert not stores.differ(user)


def test_where_the_tables_are_read_a_write_of_an_equal_document_repairs_the_blob(
    in_route: EnterRoute,
) -> None:
    user = stores.insert_user(in_route(Place.TABLES_MIRRORED), BEFORE)
    stores.fill_blob(user, None)
    UserPreferences.objects.merge(user, {})
    assert not stores.differ(user)
    assert stores.tables_text(user) == stores.as_jsonb(BEFORE)


def test_where_the_blob_is_read_a_write_of_an_equal_document_writes_neither_store(
    in_route: EnterRoute,
) -> None:
    """What is behind there is for the catch-up: a capture fires where the blob changes."""
    user = stores.insert_user(in_route(Place.BLOB_MIRRORED), BEFORE)
    stores.delete_rows(user)
    before = stores.versions(user)
    UserPreferences.objects.merge(user, {})
    assert stores.versions(user) == before


def test_unknown_keys_are_kept(place: Place) -> None:
    user = stores.insert_user(place, '{"plugin": {"deep": [1, {"x": null}]}, "theme": "dark"}')
    document = {"plugin": {"deep": [1, {"x": None}]}, "theme": "light", "other": [[], {}, ""]}
    assert (
        UserPreferences.objects.merge(user, {"theme": "light", "other": [[], {}, ""]}) == document
    )
    assert UserPreferences.objects.replace(user, document) == document
    assert UserPreferences.objects.document(user) == document


@pytest.mark.parametrize("key", [NOBODY, -1, None, 2**70], ids=str)
def test_writing_for_an_unknown_user_is_the_user_models_does_not_exist(
    place: Place, key: int | None
) -> None:
    with pytest.raises(get_user_model().DoesNotExist, match=str(key)):
        UserPreferences.objects.replace(key, {"theme": "dark"})
    with pytest.raises(get_user_model().DoesNotExist, match=str(key)):
        UserPreferences.objects.merge(key, {"theme": "dark"})


@pytest.mark.parametrize("missing", [SWITCHES[:1], SWITCHES[1:], SWITCHES], ids=" and ".join)
def test_a_missing_switch_stops_every_write(place: Place, missing: tuple[str, ...]) -> None:
    user = stores.insert_user(place, BEFORE)
    before = stores.versions(user)
    remove_switches(*missing)
    with pytest.raises(MissingSwitch, match=f"{' and '.join(missing)} is missing"):
        replace(user)
    with pytest.raises(MissingSwitch, match=f"{' and '.join(missing)} is missing"):
        merge(user)
    assert stores.versions(user) == before


def test_a_write_into_what_python_cannot_decode_is_stored_and_says_so(place: Place) -> None:
    user = stores.insert_user(place, '{"n": ' + "9" * 6000 + "}")
    with pytest.raises(UndecodableDocument, match=f"user {user} is stored whole"):
        UserPreferences.objects.merge(user, {"theme": "dark"})
    text = UserPreferences.objects.document_text(user)
    assert text is not None
    assert text.endswith('"theme": "dark"}')
    assert UserPreferences.objects.merge(user, {"n": None}) == {"theme": "dark"}

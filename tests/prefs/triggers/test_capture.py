"""Whoever writes the blob, the typed rows follow it in every route that has them follow."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from prefs.models import UserPreferences
from tests.prefs.triggers.raw import AFTER, BEFORE, INSERTS, UPDATES, Write
from tests.prefs.triggers.sessions import (
    an_empty_search_path,
    role_of_the_users_table,
    tables_of_its_own_with_our_names,
)
from tests.support import stores
from tests.support.places import EnterRoute
from tests.support.stores import Place, query

pytestmark = pytest.mark.django_db

every_update = pytest.mark.parametrize("write", UPDATES, ids=lambda write: write.__name__)
every_insert = pytest.mark.parametrize("write", INSERTS, ids=lambda write: write.__name__)


def assert_both_stores(users: list[int], text: str | None) -> None:
    """The document `text`, byte for byte, in both stores of each user."""
    expected = stores.as_jsonb(text)
    for user in users:
        assert stores.blob_text(user) == stores.tables_text(user) == expected
        assert not stores.differ(user)


@every_update
def test_where_mirrored_an_update_of_the_blob_reaches_the_tables(
    mirrored_place: Place, write: Write
) -> None:
    users = stores.insert_users(mirrored_place, [BEFORE] * 3)
    for _ in range(2):
        write(users)
        assert_both_stores(users, AFTER)


@every_update
def test_where_the_blob_alone_is_written_the_typed_rows_stay_as_they_are(
    in_route: EnterRoute, write: Write
) -> None:
    users = stores.insert_users(in_route(Place.BLOB), [BEFORE] * 3)
    before = [stores.versions(user)["user_preferences"] for user in users]
    write(users)
    assert [stores.versions(user)["user_preferences"] for user in users] == before
    assert {stores.blob_text(user) for user in users} == {stores.as_jsonb(AFTER)}


@every_insert
def test_a_new_user_has_typed_rows_wherever_the_tables_are_written(
    in_route: EnterRoute, write: Callable[[], list[int]]
) -> None:
    for place in (Place.BLOB_MIRRORED, Place.TABLES_MIRRORED, Place.TABLES):
        in_route(place)
        users = write()
        assert len(users) == 3
        assert_both_stores(users, AFTER)
        query("DELETE FROM accounts_user WHERE id = ANY(%s)", [users])


@every_insert
def test_a_new_user_has_none_where_the_blob_alone_is_written(
    in_route: EnterRoute, write: Callable[[], list[int]]
) -> None:
    in_route(Place.BLOB)
    for user in write():
        assert stores.versions(user)["user_preferences"] == []
        assert UserPreferences.objects.document_text(user) == stores.as_jsonb(AFTER)


def test_after_the_drop_users_come_and_change_without_a_blob(in_route: EnterRoute) -> None:
    user = stores.insert_user(in_route(Place.DROPPED), BEFORE)
    query("UPDATE accounts_user SET last_name = 'x'")
    assert UserPreferences.objects.document_text(user) == stores.as_jsonb(BEFORE)
    [new] = query(
        "INSERT INTO accounts_user (username, password, first_name, last_name, email,"
        " is_superuser, is_staff, is_active, date_joined)"
        " VALUES ('new', '', '', '', '', false, false, true, now()) RETURNING id"
    )
    assert UserPreferences.objects.document(new[0]) == {}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"n": 1}', '{"n": 1.0}'),
        ('{"items_per_page": 10}', '{"items_per_page": 10.0}'),
        ("{}", None),
        (None, "null"),
        ("null", "{}"),
        ("[1]", '{"theme": "dark"}'),
    ],
)
def test_what_jsonb_calls_equal_is_captured_and_so_is_every_kind_of_nothing(
    mirrored_place: Place, before: str | None, after: str | None
) -> None:
    user = stores.insert_user(mirrored_place, before)
    query("UPDATE accounts_user SET preferences = %s::jsonb WHERE id = %s", [after, user])
    assert_both_stores([user], after)


def test_an_update_that_leaves_the_blob_as_it_is_writes_no_typed_row(place: Place) -> None:
    user = stores.insert_user(place, BEFORE)
    before = stores.versions(user)
    blob = ", preferences = preferences" if place.has_column else ""
    query(f"UPDATE accounts_user SET last_name = 'x'{blob} WHERE id = %s", [user])
    del before["accounts_user"]
    assert stores.versions(user).items() >= before.items()


def test_a_new_key_and_a_new_blob_in_one_statement_are_both_followed(mirrored_place: Place) -> None:
    user, other = stores.insert_users(mirrored_place, [BEFORE] * 2)
    query(
        "UPDATE accounts_user SET id = id + 1000000, preferences = %s::jsonb WHERE id = %s",
        [AFTER, user],
    )
    assert_both_stores([user + 1_000_000], AFTER)
    assert stores.versions(user)["user_preferences"] == []
    assert_both_stores([other], BEFORE)


def test_a_blob_that_a_site_s_own_trigger_alters_is_mirrored_as_it_was_stored(
    in_route: EnterRoute,
) -> None:
    users = stores.insert_users(in_route(Place.BLOB_MIRRORED), [BEFORE] * 2)
    query(
        "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
        " NEW.preferences := NEW.preferences || '{\"stamp\": 1.0}'; RETURN NEW; END$$"
    )
    query(
        "CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON accounts_user"
        " FOR EACH ROW EXECUTE FUNCTION stamp()"
    )
    UserPreferences.objects.merge(users[0], {"theme": "dark"})
    query("UPDATE accounts_user SET last_name = 'x' WHERE id = %s", [users[1]])
    for user in users:
        assert UserPreferences.objects.document(user)["stamp"] == 1.0
        assert not stores.differ(user)


SESSIONS = [role_of_the_users_table, an_empty_search_path, tables_of_its_own_with_our_names]


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.__name__)
def test_it_does_not_depend_on_the_session_that_writes(
    mirrored_place: Place, session: Callable[[], AbstractContextManager[None]]
) -> None:
    user, gone = stores.insert_users(mirrored_place, [BEFORE] * 2)
    with session():
        query(
            "UPDATE public.accounts_user SET preferences = %s::jsonb WHERE id = %s", [AFTER, user]
        )
        query("DELETE FROM public.accounts_user WHERE id = %s", [gone])
    assert_both_stores([user], AFTER)
    assert stores.versions(gone)["user_preferences"] == []

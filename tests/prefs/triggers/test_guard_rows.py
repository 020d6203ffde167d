"""Raw writes to the typed tables: refused where the other store would not follow."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model

from prefs.mapping import NOTIFICATION_TABLE, USER_TABLE
from tests.prefs.triggers.raw import AFTER, BEFORE, refused
from tests.support import stores
from tests.support.places import EnterRoute
from tests.support.stores import Place, query

pytestmark = pytest.mark.django_db

TABLES = (USER_TABLE, NOTIFICATION_TABLE)
COLUMN = {USER_TABLE: "compact_mode", NOTIFICATION_TABLE: "push_mentions"}
STATEMENTS = {
    "INSERT": "INSERT INTO {table} (user_id, {column}) VALUES ({bare}, true)",
    "UPDATE": "UPDATE {table} SET {column} = true WHERE user_id = {user}",
    "DELETE": "DELETE FROM {table} WHERE user_id = {user}",
    "INSERT ": "INSERT INTO {table} (user_id) VALUES ({user})"
    " ON CONFLICT (user_id) DO UPDATE SET {column} = true",
    "UPDATE ": "UPDATE {table} SET user_id = {bare} WHERE user_id = {user}",
    "DELETE ": "WITH d AS (DELETE FROM {table} RETURNING 1) SELECT count(*) FROM d",
}
every_table = pytest.mark.parametrize("table", TABLES)
every_statement = pytest.mark.parametrize("name", STATEMENTS)


def statement(name: str, table: str, user: int, bare: int) -> str:
    return STATEMENTS[name].format(table=table, column=COLUMN[table], user=user, bare=bare)


def two_users(place: Place) -> tuple[int, int]:
    """One with typed rows, and one without."""
    user, bare = stores.insert_users(place, [BEFORE, "{}"])
    stores.delete_rows(bare)
    return user, bare


@every_table
@every_statement
def test_while_mirrored_they_are_refused(mirrored_place: Place, table: str, name: str) -> None:
    user, bare = two_users(mirrored_place)
    before = stores.versions(user), stores.versions(bare)
    with refused(f"of {table} is refused: it would part the two stores", "UserPreferences.objects"):
        query(statement(name, table, user, bare))
    assert (stores.versions(user), stores.versions(bare)) == before


@every_table
@every_statement
@pytest.mark.parametrize("alone", [Place.BLOB, Place.TABLES, Place.DROPPED])
def test_while_one_store_alone_is_written_they_pass(
    in_route: EnterRoute, alone: Place, table: str, name: str
) -> None:
    user, bare = two_users(in_route(alone))
    before = stores.versions(user)[table], stores.versions(bare)[table]
    query(statement(name, table, user, bare))
    assert (stores.versions(user)[table], stores.versions(bare)[table]) != before


@every_table
def test_truncating_is_refused_wherever_the_tables_are_written(place: Place, table: str) -> None:
    user = stores.insert_user(place, BEFORE)
    if not place.route.writes_tables:
        query(f"TRUNCATE {table}")
        assert stores.versions(user)[table] == []
        return
    before = stores.versions(user)
    with refused(f"TRUNCATE of {table} is refused"):
        query(f"TRUNCATE {table}")
    assert stores.versions(user) == before


def test_tables_can_be_truncated_without_users_and_together_with_them(place: Place) -> None:
    query(f"TRUNCATE {', '.join(TABLES)}")
    user = stores.insert_user(place, BEFORE)
    query("TRUNCATE accounts_user CASCADE")
    assert list(stores.versions(user).values()) == [[], [], []]


def test_a_statement_that_meets_no_row_parts_nothing_and_passes(mirrored_place: Place) -> None:
    stores.insert_user(mirrored_place, BEFORE)
    query("UPDATE user_preferences SET theme = 'dark' WHERE false")
    query("DELETE FROM notification_preferences WHERE user_id = -1")


def test_users_go_with_their_rows_in_every_route(place: Place) -> None:
    users = stores.insert_users(place, [BEFORE] * 5)
    bare = users.pop()
    stores.delete_rows(bare)
    get_user_model().objects.get(pk=users[0]).delete()
    get_user_model().objects.filter(pk__in=users[1:2]).delete()
    query("DELETE FROM accounts_user WHERE id = ANY(%s)", [[users[2], bare]])
    for user in (*users[:3], bare):
        assert list(stores.versions(user).values()) == [[], [], []]
    assert stores.primary_text(place, users[3]) == stores.as_jsonb(BEFORE)


def test_rows_follow_a_new_key_in_every_route(place: Place) -> None:
    users = stores.insert_users(place, [BEFORE, AFTER])
    query("UPDATE accounts_user SET id = id + 1000000 WHERE id = ANY(%s)", [users])
    for user, text in zip(users, (BEFORE, AFTER), strict=True):
        assert stores.primary_text(place, user + 1_000_000) == stores.as_jsonb(text)
        assert list(stores.versions(user).values()) == [[], [], []]


def test_somebody_who_goes_lets_nothing_of_those_who_stay_be_taken(mirrored_place: Place) -> None:
    user, other = stores.insert_users(mirrored_place, [BEFORE] * 2)
    with refused("DELETE of user_preferences is refused"):
        query(
            "WITH gone AS (DELETE FROM accounts_user WHERE id = %s RETURNING 1)"
            " DELETE FROM user_preferences WHERE user_id = %s",
            [user, other],
        )
    assert not stores.differ(other)

"""The statements on which safety rests, word for word: a change to one is a change on purpose."""

from __future__ import annotations

import re

import pytest

from prefs.routing import Route
from prefs.sql import catalog, copying, expressions, names, writes
from prefs.sql.names import ANYWHERE


def one_line(statement: str) -> str:
    """Without the placeholder of a schema: that no name lacks it has a test of its own."""
    return " ".join(statement.replace(f"{ANYWHERE}.", "").split())


SWITCHES = (
    """(SELECT w.active FROM "waffle_switch" w WHERE w.name = 'prefs_dual_write'), """
    """(SELECT w.active FROM "waffle_switch" w WHERE w.name = 'prefs_read_tables')"""
)


def test_a_write_locks_its_user_reads_both_switches_and_its_isolation_level() -> None:
    assert one_line(writes.lock()) == (
        f"SELECT {SWITCHES}, current_setting('transaction_isolation')"
        ' FROM "accounts_user" u WHERE u."id" = %(user)s::bigint FOR NO KEY UPDATE OF u'
    )


def test_background_work_locks_users_in_key_order_and_reads_both_switches() -> None:
    assert one_line(copying.lock_users()) == (
        f"SELECT u.\"id\", {SWITCHES}, current_setting('transaction_isolation')"
        ' FROM "accounts_user" u WHERE u."id" = ANY(%(ids)s::bigint[])'
        ' ORDER BY u."id" FOR NO KEY UPDATE OF u'
    )


def test_overwriting_takes_the_blob_from_the_row_that_it_locks() -> None:
    assert one_line(copying.overwrite_tables()).startswith(
        'WITH source AS MATERIALIZED ( SELECT u."id" AS user_id, u."preferences" AS doc'
        ' FROM "accounts_user" u WHERE u."id" = ANY(%(ids)s::bigint[])'
        ' ORDER BY u."id" FOR NO KEY UPDATE OF u), '
    )


def test_the_drain_lists_who_holds_the_switches_and_a_writers_lock() -> None:
    assert one_line(catalog.writers()) == (
        "WITH l AS MATERIALIZED (SELECT virtualtransaction, pid, relation, mode FROM pg_locks"
        " WHERE locktype = 'relation' AND database = (SELECT oid FROM pg_database"
        " WHERE datname = current_database()))"
        " SELECT DISTINCT s.virtualtransaction FROM l s"
        " WHERE s.relation = '\"waffle_switch\"'::regclass"
        " AND s.pid IS DISTINCT FROM pg_backend_pid()"
        " AND EXISTS (SELECT FROM l w WHERE w.virtualtransaction = s.virtualtransaction"
        " AND w.relation IN ('\"accounts_user\"'::regclass, '\"user_preferences\"'::regclass,"
        " '\"notification_preferences\"'::regclass)"
        " AND w.mode IN ('RowShareLock', 'RowExclusiveLock', 'ShareUpdateExclusiveLock',"
        " 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))"
    )


def test_state_is_both_switches_and_the_column_in_one_statement() -> None:
    assert one_line(catalog.state()) == (
        f"SELECT {SWITCHES}, EXISTS (SELECT FROM pg_attribute"
        " WHERE attrelid = to_regclass('\"accounts_user\"')"
        " AND attname = 'preferences' AND NOT attisdropped)"
    )


def test_identity_is_by_image_and_never_by_jsonb_equality() -> None:
    assert expressions.same("a", "b") == "record_image_eq(ROW(a), ROW(b))"
    difference = copying.differing(first=False)
    for statement in (difference, copying.overwrite_blob(), copying.overwrite_tables()):
        assert "record_image_eq(ROW(" in statement
        assert "IS DISTINCT FROM" not in statement


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("incoming", [writes.REPLACE, writes.MERGE])
@pytest.mark.parametrize("route", Route)
def test_a_route_writes_its_stores_and_no_other_users_first(
    route: Route, incoming: str, there: bool
) -> None:
    statement = one_line(writes.writing(route, incoming, there=there))
    write = "UPDATE" if there else "INSERT INTO"
    blob = statement.find('UPDATE "accounts_user"')
    user_row = statement.find(f'{write} "user_preferences"')
    notification_row = statement.find(f'{write} "notification_preferences"')
    assert (blob > 0) is route.writes_blob
    # Where the blob is the primary, the capture trigger mirrors it.
    assert (user_row > 0) is (notification_row > 0) is route.reads_tables
    if route.reads_tables:
        assert blob < user_row < notification_row


def test_a_patch_laid_over_columns_is_written_in_the_same_order() -> None:
    statement = one_line(writes.patching())
    written = re.findall(r'(?:UPDATE|INSERT INTO) "(\w+)"', statement)
    assert written == ["user_preferences", "notification_preferences"]


def test_the_blob_is_not_named_where_the_route_is_the_tables_alone() -> None:
    for statement in (writes.writing(Route.TABLES, "x"), writes.patching()):
        assert "preferences" not in re.findall(r'"(\w+)"', statement)
    assert "preferences" in re.findall(r'"(\w+)"', writes.writing(Route.BLOB, "x"))


@pytest.mark.parametrize("first", [True, False])
def test_copying_names_the_switches_and_copies_nothing_over_a_primary(first: bool) -> None:
    statement = one_line(copying.copying_missing(first=first))
    assert (
        "AND NOT (SELECT w.active FROM \"waffle_switch\" w WHERE w.name = 'prefs_read_tables')"
        in statement
    )
    assert "ON CONFLICT" not in statement
    assert statement.endswith(SWITCHES)


@pytest.mark.parametrize(
    ("text", "literal"), [("", "''"), ("a'b", "'a''b'"), ("\\", "E'\\\\'"), ("''", "''''''")]
)
def test_literals_are_quoted(text: str, literal: str) -> None:
    assert names.literal(text) == literal

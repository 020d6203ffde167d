"""Whatever a role or a database has set, the migration goes its way and its checks are clean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import DatabaseError, connection, connections

from prefs.engine.batches import blob_was_gone
from prefs.engine.integrity import problems
from prefs.engine.states import State
from prefs.models import UserPreferences
from tests.support import scratch
from tests.support.columns import INDEXES, VARIED, definition
from tests.support.running import run
from tests.support.steps import (
    ALIAS,
    add_users,
    differences,
    document_texts,
    go,
    many_users,
    rows,
    set_blob,
    state,
    take,
    value,
)

# DateStyle begins with ISO, for psycopg reads no other; other sessions may have any.
PRINTING = {
    "quote_all_identifiers": "on",
    "client_min_messages": "error",
    "DateStyle": "ISO, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Pacific/Chatham",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "xmlbinary": "hex",
    "lc_messages": "C",
    "lc_numeric": "C",
}
PARSING = {
    "standard_conforming_strings": "off",
    "backslash_quote": "off",
    "escape_string_warning": "off",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "search_path": '"$user", extra, public',
    "row_security": "off",
    "check_function_bodies": "off",
    "default_transaction_deferrable": "on",
}
PLANNING = {
    "jit": "on",
    "jit_above_cost": "0",
    "enable_indexscan": "off",
    "enable_indexonlyscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",
    "enable_sort": "off",
    "plan_cache_mode": "force_custom_plan",
    "work_mem": "64kB",
    "debug_parallel_query": "on",
}
LIMITS = {
    "statement_timeout": "20s",
    "lock_timeout": "15s",
    "idle_in_transaction_session_timeout": "20s",
}
# The one begins with the name of a column, as a translation may without a space.
GONE = "列u.preferencesは存在しません"
ALL = {
    "printing": PRINTING,
    "parsing": PARSING,
    "planning": PLANNING,
    "limits": LIMITS,
}

# Where both stores are equal on the way: after the cutover, and after the way back over it.
EQUAL = (list(State).index(State.READ_CUTOVER), 2 * len(State) - 2)


@contextmanager
def set_for(site: str, of: str, settings: dict[str, str]) -> Iterator[None]:
    """Settings of this database, or of its role in it, while the block runs."""
    there = set(rows("SELECT name FROM pg_settings"))
    where = f'DATABASE "{site}"'
    if of == "role":
        where = f'ROLE "{connection.settings_dict["USER"]}" IN {where}'
    rows("CREATE SCHEMA extra")
    for name, setting in settings.items():
        if (name,) in there:
            listed = setting if name in ("search_path", "DateStyle") else f"'{setting}'"
            rows(f"ALTER {where} SET {name} = {listed}")
    connections.close_all()
    yield


@pytest.mark.slow
@pytest.mark.parametrize("of", ["database", "role"])
@pytest.mark.parametrize("kind", ALL)
def test_a_site_goes_all_the_way_and_back(site: str, kind: str, of: str) -> None:
    """Case B14: quote_all_identifiers left tables_intact unmet; no other setting has an effect."""
    rows('ALTER TABLE accounts_user ALTER COLUMN preferences SET DEFAULT \'{"new": "100%"}\'')
    rows(r"COMMENT ON COLUMN accounts_user.preferences IS E'a \\ and a \' and \\n'")
    for statement in INDEXES:
        rows(statement)
    users = add_users(*VARIED, r'{"back\\slash": "\\n"}')
    before, texts = definition(), document_texts()
    with set_for(site, of, ALL[kind]):
        for number, reached in enumerate([*State, *reversed(State)]):
            go(reached)
            written = UserPreferences.objects.merge(users[2], {"x\\y": reached, "theme": "dark"})
            assert written == {"x\\y": reached, "theme": "dark"}
            texts[2] = UserPreferences.objects.document_text(users[2])
            assert (problems(ALIAS), document_texts()) == ([], texts)
            if number in EQUAL:
                assert differences() == []
    connections.close_all()
    rows(f'ALTER DATABASE "{site}" RESET ALL')
    rows(f'ALTER ROLE "{connection.settings_dict["USER"]}" IN DATABASE "{site}" RESET ALL')
    connections.close_all()
    assert definition() == before


@pytest.mark.parametrize("style", ["German", "SQL, DMY", "Postgres, MDY"])
def test_a_session_with_another_date_style_is_mirrored_exactly(site: str, style: str) -> None:
    """Case B14: the mark of a statement, and the times of quiet hours, are text on their way."""
    [user] = add_users({"notifications": {"quiet_hours": {"start": "22:00"}}})
    go(State.READ_CUTOVER)
    with scratch.connect(site) as session:
        session.execute(f"SET DateStyle = {style}".encode())
        session.execute("SET TimeZone = 'Pacific/Chatham'")
        session.execute(
            'UPDATE accounts_user SET preferences = \'{"theme": "dark", "notifications":'
            ' {"quiet_hours": {"start": "06:30"}}}\' WHERE id = %s',
            [user],
        )
        with pytest.raises(Exception, match="would part the two stores"):
            session.execute("UPDATE user_preferences SET theme = 'light'")
    assert differences() == []
    assert value("SELECT quiet_hours_start::text FROM notification_preferences") == "06:30:00"


def failure(work: Callable[[], object]) -> DatabaseError:
    """What the database says to something."""
    with pytest.raises(DatabaseError) as raised:
        work()
    return raised.value


def test_a_column_that_is_gone_is_known_in_every_language(site: str) -> None:
    """Case B14: lc_messages; Japanese puts no space after a name."""
    rows(
        "CREATE FUNCTION says(what text) RETURNS void LANGUAGE plpgsql AS $$BEGIN RAISE"
        " EXCEPTION '%', what USING ERRCODE = 'undefined_column'; END$$"
    )
    assert blob_was_gone(failure(lambda: rows("SELECT says(%s)", GONE)))
    assert not blob_was_gone(failure(lambda: rows("SELECT says(%s)", "列u.preferences2は…")))
    go(State.DROPPED)
    assert blob_was_gone(failure(lambda: rows("SELECT u.preferences FROM accounts_user u")))


@pytest.mark.slow
def test_a_short_limit_of_the_role_ends_no_ddl(site: str) -> None:
    """Case B14: statement_timeout of a role counts for tries of DDL neither."""
    add_users(*VARIED)
    go(State.MIRROR_OFF)
    rows(f"ALTER DATABASE \"{site}\" SET statement_timeout = '30ms'")
    connections.close_all()
    with scratch.connect(site) as reader:
        reader.execute("SET statement_timeout = 0")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM accounts_user")
        with pytest.raises(Exception, match="No table lock to drop the column"):
            take(State.DROPPED)
    assert state() is State.MIRROR_OFF


def test_a_statement_that_sets_a_users_blob_is_still_ours(site: str) -> None:
    """Case B14: the same under every setting at once, with raw SQL beside it."""
    [user] = add_users({"theme": "dark"})
    with set_for(site, "database", PRINTING | PARSING | PLANNING | LIMITS):
        go(State.DUAL_WRITE)
        set_blob(user, {"theme": "light", "a\\b": ["c\\"]})
        assert (differences(), problems(ALIAS)) == ([], [])


@pytest.mark.parametrize(
    ("setting", "command", "says"),
    [
        ("default_transaction_read_only = on", "backfill_prefs", "This session may only read"),
        ("statement_timeout = '1ms'", "status_prefs", "the statement_timeout of this role"),
    ],
)
def test_a_setting_that_forbids_it_is_named(
    site: str, setting: str, command: str, says: str
) -> None:
    """Case B14: where a setting of the role has an effect, the command says which."""
    many_users(2000)
    rows(f"SET {setting}")
    outcome = run(command, "--skip-checks")
    assert (outcome.status, says in outcome.err) == (1, True), outcome

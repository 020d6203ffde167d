"""Who is on the list that a drain waits for, and what it says of them: each word of it matters.

A transaction is on it that holds a lock on the switches and a writer's lock on one of three
tables. What were left out of that would end some flip too early: case B18.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from django.db import transaction

from prefs.blockers import Blocker
from prefs.engine import flips
from prefs.models import UserPreferences
from prefs.sql import catalog
from prefs.sql.names import names
from tests.support import scratch
from tests.support.needs import PREPARED_TRANSACTIONS, needs
from tests.support.steps import ALIAS, add_users, held_open, in_thread, rows

READ_SWITCHES = "SELECT active FROM waffle_switch"
TABLES = ("accounts_user", "user_preferences", "notification_preferences")
# What a writer holds, and what an operator's LOCK TABLE can hold before it writes.
WRITING = (
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)


@needs(PREPARED_TRANSACTIONS)
@contextmanager
def open_transaction(database: str, *statements: str, name: str = "them") -> Iterator[int]:
    """Another session that has sent these statements in a transaction; yields its pid."""
    with scratch.connect(database, name) as session:
        session.execute("BEGIN")
        for statement in statements:
            session.execute(statement.encode())
        yield session.info.backend_pid


def listed() -> list[int | None]:
    return [blocker.pid for blocker in flips.blockers(ALIAS)]


@contextmanager
def prepared(database: str, gid: str, *statements: str) -> Iterator[None]:
    """The same, prepared under a name; rolled back in the end."""
    with scratch.connect(database) as session:
        session.execute("BEGIN")
        for statement in statements:
            session.execute(statement.encode())
        session.execute(f"PREPARE TRANSACTION '{gid}'".encode())
        try:
            yield
        finally:
            session.execute(f"ROLLBACK PREPARED '{gid}'".encode())


@pytest.mark.parametrize("table", TABLES)
def test_every_writers_lock_on_every_one_of_the_tables_counts_and_a_readers_does_not(
    site: str, table: str
) -> None:
    """Case B18: the list narrowed to users lost a write of a typed row, and no test saw it."""
    with scratch.connect(site) as session:
        for mode in ("ACCESS SHARE", *WRITING):
            session.execute("BEGIN")
            session.execute(READ_SWITCHES)
            session.execute(f"LOCK TABLE {table} IN {mode} MODE".encode())
            assert listed() == ([session.info.backend_pid] if mode in WRITING else []), mode
            session.execute("ROLLBACK")


def test_a_statement_that_only_locked_its_user_counts(site: str) -> None:
    """It has read the route; what it writes comes in the next statement."""
    [user] = add_users({})
    lock = f"SELECT w.active FROM waffle_switch w, accounts_user u WHERE u.id = {user}"
    with open_transaction(site, f"{lock} FOR NO KEY UPDATE OF u") as pid:
        assert listed() == [pid]


def test_both_locks_must_be_of_one_transaction(site: str) -> None:
    writing = "LOCK TABLE accounts_user, user_preferences IN ROW EXCLUSIVE MODE"
    with open_transaction(site, READ_SWITCHES), open_transaction(site, writing):
        assert listed() == []


def test_no_other_table_counts(site: str) -> None:
    others = "LOCK TABLE prefs_run, waffle_flag, auth_group IN ACCESS EXCLUSIVE MODE"
    with open_transaction(site, READ_SWITCHES, others):
        assert listed() == []


def test_a_writer_of_another_database_does_not_count(site: str, copies: scratch.Copies) -> None:
    """A copy of a database has tables of the same numbers, and pg_locks lists all databases."""
    writing = (READ_SWITCHES, "LOCK TABLE accounts_user IN ROW EXCLUSIVE MODE")
    number = b"SELECT 'accounts_user'::regclass::oid"
    with copies.one() as other, scratch.connect(other) as there, scratch.connect(site) as here:
        assert there.execute(number).fetchone() == here.execute(number).fetchone()
        with open_transaction(other, *writing), prepared(other, f"elsewhere {other}", *writing):
            assert listed() == []


def test_who_asks_does_not_count_and_another_session_of_the_same_role_does(site: str) -> None:
    """Else whoever asks in a transaction that has written would wait for themselves."""
    ours, theirs = add_users({}, {})
    with transaction.atomic():
        UserPreferences.objects.merge(ours, {"theme": "dark"})
        assert flips._writers(ALIAS) == set()
        with held_open(lambda: UserPreferences.objects.merge(theirs, {"theme": "dark"})):
            assert len(flips._writers(ALIAS)) == 1
    assert flips._writers(ALIAS) == set()


def test_a_prepared_transaction_counts_by_its_name(site: str) -> None:
    gid = f"theirs {site}"
    writing = (READ_SWITCHES, "LOCK TABLE notification_preferences IN ROW EXCLUSIVE MODE")
    with prepared(site, gid, *writing):
        [found] = flips.blockers(ALIAS)
        assert (found.pid, found.name, found.state, found.statement) == (None, gid, "prepared", "")
        assert 0 <= found.seconds < 20
        assert str(found).startswith(f"the prepared transaction '{gid}' (prepared, ")
    assert flips.blockers(ALIAS) == []


def test_who_names_a_partition_is_not_seen(site: str) -> None:
    """Case B13: PostgreSQL locks the partition alone, so a partitioned users table is refused."""
    rows("CREATE TABLE parted (id bigint) PARTITION BY HASH (id)")
    rows("CREATE TABLE part PARTITION OF parted FOR VALUES WITH (MODULUS 1, REMAINDER 0)")
    with pytest.MonkeyPatch.context() as monkeypatch:
        found = replace(names(), users="parted")
        monkeypatch.setattr(catalog, "names", lambda: found)
        with open_transaction(site, READ_SWITCHES, "INSERT INTO parted VALUES (1)") as pid:
            assert listed() == [pid]
        with open_transaction(site, READ_SWITCHES, "INSERT INTO part VALUES (1)"):
            assert listed() == []


def test_it_says_of_each_what_it_is_called_since_when_it_is_open_and_what_it_did_last(
    site: str,
) -> None:
    writing = (READ_SWITCHES, "LOCK TABLE user_preferences IN ROW EXCLUSIVE MODE")
    slow = ("SELECT pg_sleep(0.3)", "SELECT 'the last'")
    long = "SELECT 'x" + "y" * 400 + "'"
    with (
        open_transaction(site, *writing, *slow, name="first") as first,
        open_transaction(site, *writing, long, name="") as second,
        open_transaction(site, READ_SWITCHES, name="a reader"),
        prepared(site, f"both {site}", *writing),
    ):
        found = flips.blockers(ALIAS)
    by_pid = sorted((first, second))
    assert [each.pid for each in found] == [*by_pid, None]
    told = {each.pid: each for each in found}
    assert [told[pid].name for pid in (first, second, None)] == ["first", "", f"both {site}"]
    assert {told[pid].state for pid in by_pid} == {"idle in transaction"}
    assert told[first].statement == slow[-1]
    assert told[second].statement == long[:200]
    assert 0.3 <= told[first].seconds < 20
    assert str(told[second]).startswith(f"pid {second} (unnamed, idle in transaction, ")


def test_it_says_nothing_of_those_who_are_not_waited_for_any_more(site: str) -> None:
    writing = (READ_SWITCHES, "LOCK TABLE user_preferences IN ROW EXCLUSIVE MODE")
    with open_transaction(site, *writing) as early:
        waiting = flips._writers(ALIAS)
        with open_transaction(site, *writing), prepared(site, f"later {site}", *writing):
            assert [each.pid for each in flips.blockers(ALIAS, waiting)] == [early]
            assert flips.blockers(ALIAS, set()) == []
    assert flips.blockers(ALIAS, waiting) == []


def test_what_a_role_may_not_see_of_another_is_unknown_and_breaks_nothing(site: str) -> None:
    role = f"{site}_onlooker"
    rows(f'CREATE ROLE "{role}"')
    writing = (READ_SWITCHES, "LOCK TABLE user_preferences IN ROW EXCLUSIVE MODE")
    try:
        with open_transaction(site, *writing, name="somebody") as pid:

            def onlooker() -> list[Blocker]:
                rows(f'SET ROLE "{role}"')
                return flips.blockers(ALIAS, waiting)

            waiting = flips._writers(ALIAS)
            [found] = in_thread(onlooker).result(10)
        assert (found.pid, found.name, found.seconds) == (pid, "somebody", 0)
        assert found.state == "unknown"
        assert found.statement == "<insufficient privilege>"
    finally:
        rows(f'DROP ROLE "{role}"')

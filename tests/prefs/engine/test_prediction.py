"""What a backfill will take is foretold before it, and compared with what it took."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from prefs.engine.prediction import Prediction, outcome, predict, remember
from prefs.engine.repair import Direction
from prefs.engine.seeding import seed
from prefs.engine.states import State
from prefs.models import Run
from tests.support.running import run
from tests.support.steps import (
    ALIAS,
    go,
    many_users,
    rows,
    run_once,
    take,
    value,
)
from tests.support.tampering import tamper

FORWARD, REVERSE = Direction.FORWARD, Direction.REVERSE
USERS = 4_000
TABLES = "user_preferences, notification_preferences"


@pytest.fixture
def seeded(site: str) -> None:
    """A site with a few thousand users of all kinds, and tables without a trace of others.

    Case C19: an autovacuum adds pages of its own (a visibility map, a free space map) to a table
    that was filled, now and then between the end of a run and the look at what it took.
    """
    for table in ("accounts_user", *TABLES.split(", ")):
        off = "autovacuum_enabled = off, toast.autovacuum_enabled = off"
        rows(f"ALTER TABLE {table} SET ({off})")
    seed(ALIAS, USERS, odd=0.02, seed=1, progress=lambda _: None)
    rows(f"VACUUM (FULL) accounts_user, {TABLES}")
    rows("ANALYZE accounts_user")


class Took:
    """What was written while a block ran."""

    tables = 0
    wal = 0


@contextmanager
def measured() -> Iterator[Took]:
    """Measure what a block adds to the tables, and what this session writes of WAL."""
    took = Took()
    rows("CHECKPOINT")
    tables, wal = sizes(), written()
    yield took
    took.tables, took.wal = sizes() - tables, written() - wal


def sizes() -> int:
    """Bytes of the users and the typed tables, with their indexes."""
    found: int = value(
        "SELECT sum(pg_total_relation_size(t::regclass))::bigint"
        f" FROM unnest(string_to_array('accounts_user, {TABLES}', ', ')) t"
    )
    return found


def written() -> int:
    """Bytes of WAL of this session; before PostgreSQL 18 nobody can tell but of all sessions."""
    if value("SELECT to_regproc('pg_stat_get_backend_wal') IS NULL"):
        return int(value("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"))
    rows("SELECT pg_stat_force_next_flush()")
    rows("SELECT 1")
    return int(value("SELECT wal_bytes FROM pg_stat_get_backend_wal(pg_backend_pid())"))


def is_near(foretold: int, took: int, share: float) -> bool:
    """Whether a prediction missed by no more than a share of what it took."""
    return abs(foretold - took) <= share * took


def test_a_backfill_takes_about_what_was_foretold(seeded: None) -> None:
    foretold = predict(ALIAS, FORWARD)
    with measured() as took:
        assert run_once().copied == USERS
    assert foretold.rows == USERS
    assert is_near(foretold.table_bytes, took.tables, 0.25), (foretold, took.tables)
    assert is_near(foretold.wal_bytes, took.wal, 0.5), (foretold, took.wal)


@pytest.mark.slow
def test_a_reverse_backfill_too(seeded: None) -> None:
    run_once()
    go(State.MIRROR_OFF)
    tamper("UPDATE user_preferences SET theme = CASE theme WHEN 'dark' THEN 'light' END")
    tamper("UPDATE user_preferences SET items_per_page = 77 WHERE theme IS NULL")
    rows(f"VACUUM (FULL) accounts_user, {TABLES}")
    rows("ANALYZE accounts_user")
    foretold = predict(ALIAS, REVERSE)
    with measured() as took:
        done = run_once(REVERSE)
    assert is_near(foretold.rows, done.repaired, 0.1), (foretold, done.repaired)
    # How full the leaves of the indexes are, and what is pruned meanwhile, nobody can foretell.
    assert is_near(foretold.table_bytes, took.tables, 0.4), (foretold, took.tables)
    assert is_near(foretold.wal_bytes, took.wal, 0.5), (foretold, took.wal)


def test_where_everything_is_copied_nothing_is_foretold(site: str) -> None:
    many_users(300)
    run_once()
    take(State.DUAL_WRITE)
    assert predict(ALIAS, FORWARD) == Prediction(rows=0, table_bytes=0, wal_bytes=0)
    go(State.READ_CUTOVER)
    assert predict(ALIAS, REVERSE) == Prediction(rows=0, table_bytes=0, wal_bytes=0)


def test_a_site_without_users_is_foretold_nothing(site: str) -> None:
    assert predict(ALIAS, FORWARD) == Prediction(rows=0, table_bytes=0, wal_bytes=0)


def test_half_of_it_done_half_is_foretold(site: str) -> None:
    users = many_users(300)
    whole = predict(ALIAS, FORWARD)
    run_once()
    tamper("DELETE FROM user_preferences WHERE user_id <= %s", users[149])
    half = predict(ALIAS, FORWARD)
    assert (whole.rows, half.rows) == (300, 150)
    assert is_near(half.table_bytes, whole.table_bytes // 2, 0.01)


def test_a_dry_run_prints_it_and_changes_nothing(site: str) -> None:
    many_users(300)
    foretold = predict(ALIAS, FORWARD)
    line = (
        f"writes about 300 users: {foretold.table_bytes / 1e6:,.1f} MB of tables and indexes,"
        f" {foretold.wal_bytes / 1e6:,.1f} MB of WAL"
    )
    assert run("backfill_prefs", "--dry-run").out.splitlines()[-1] == line
    found = run("backfill_prefs", "--dry-run", "--json").json
    assert found["plan"][-1] == line
    assert found["predicted_users"] == 300
    assert found["predicted_table_bytes"] == foretold.table_bytes
    assert found["predicted_wal_bytes"] == foretold.wal_bytes
    assert (Run.objects.count(), value("SELECT count(*) FROM user_preferences")) == (0, 0)


def test_as_json_the_run_says_what_was_foretold_and_what_it_took(seeded: None) -> None:
    """Case C19: to the byte, since nobody else writes these tables meanwhile."""
    foretold = predict(ALIAS, FORWARD)
    with measured() as took:
        found = run("backfill_prefs", "--json").json
    # Each looks at pages of its own.
    assert is_near(found["predicted_table_bytes"], foretold.table_bytes, 0.2)
    assert is_near(found["predicted_wal_bytes"], foretold.wal_bytes, 0.2)
    assert found["table_bytes"] == took.tables
    # Of all sessions: at least a record of each row, whoever else writes.
    assert found["wal_bytes"] > USERS * 100


def test_a_run_that_is_resumed_keeps_what_was_foretold_when_it_began(site: str) -> None:
    many_users(300)
    begun = run_once(batch_size=100, stopped=iter([False] * 3 + [True] * 9).__next__)
    before = dict(begun.figures)
    assert (begun.status, before["rows"]) == ("interrupted", 300)
    remember(begun, ALIAS, predict(ALIAS, FORWARD))
    resumed = run_once()
    assert (resumed.pk, resumed.figures) == (begun.pk, before)
    assert outcome(resumed, ALIAS)["predicted_wal_bytes"] == before["wal_bytes"]

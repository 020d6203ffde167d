"""The contenders that several sections share: a command of ours, and work done by hand."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.baselines import TYPED, without_our_triggers
from benchmarks.baselines.one_shot import one_shot
from benchmarks.bench import Bench, Contender, timed
from benchmarks.data import seeded
from benchmarks.databases import Session
from benchmarks.series import Outcome
from prefs.sql.names import quote

_RECORDED = """SELECT extract(epoch FROM finished_at - started_at)::float8
  FROM prefs_run ORDER BY id DESC LIMIT 1"""
_WAL = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8"


class WrongCopy(RuntimeError):
    """A contender that did not do what it was measured for."""

    def __init__(self, database: str, table: str, rows: int, users: int) -> None:
        super().__init__(f"{database}: {table} has {rows} rows after the copy of {users} users")


def ours(bench: Bench, template: str, users: int, *arguments: str) -> Contender:
    """A command of ours, from its start to its end."""

    def run(database: str) -> Outcome:
        before = wal(bench, database)
        finished = bench.command(database, *arguments)
        written = wal(bench, database) - before
        check_copied(bench, database, users)
        return {
            "s": finished.seconds,
            "s by the run's own record": bench.databases.one(database, _RECORDED),
            "peak MB": finished.peak_mb,
            "WAL bytes a user": written / users,
        }

    return Contender(template=template, run=run)


def by_hand(
    bench: Bench,
    template: str,
    work: Callable[[str], object],
    *,
    users: int,
    share: float = 1.0,
) -> Contender:
    """A baseline, which our triggers cost nothing; of a share of the users, scaled to all."""

    def run(database: str) -> Outcome:
        without_our_triggers(bench.databases, database)
        bench.databases.execute(database, "CHECKPOINT")
        before, outcome = wal(bench, database), dict[str, float]()
        with timed(outcome):
            work(database)
        outcome["s"] /= share
        outcome["WAL bytes a user"] = (wal(bench, database) - before) / (users * share)
        check_copied(bench, database, round(users * share))
        return outcome

    return Contender(template=template, run=run)


def one_shot_statement(bench: Bench) -> Contender:
    """The statement that the backfill is held to."""
    users = bench.options.users
    return by_hand(bench, seeded(bench, users), in_session(bench, one_shot), users=users)


def in_session(bench: Bench, work: Callable[[Session], object]) -> Callable[[str], None]:
    """Work in a session, for `by_hand`."""

    def run(database: str) -> None:
        with bench.databases.connect(database) as session:
            work(session)

    return run


def in_django(bench: Bench, work: Callable[[str], object]) -> Callable[[str], None]:
    """Work under Django's alias of the database, for `by_hand`."""

    def run(database: str) -> None:
        with bench.databases.aliased(database) as alias:
            work(alias)

    return run


def wal(bench: Bench, database: str) -> float:
    """How many bytes of WAL the server has written in its life."""
    return float(bench.databases.one(database, _WAL))


def check_copied(bench: Bench, database: str, users: int) -> None:
    """Raise WrongCopy unless both tables have a row for so many users."""
    for table in TYPED:
        rows = bench.databases.one(database, f"SELECT count(*) FROM {quote(table)}")
        if rows != users:
            raise WrongCopy(database, table, rows, users)

"""Catch-up with drift, and the reverse backfill where every blob is behind."""

from __future__ import annotations

from functools import partial

from benchmarks.bench import Bench, Contender
from benchmarks.contenders import ours
from benchmarks.data import in_state
from benchmarks.series import Outcome, Series
from prefs.domains import Flag
from prefs.mapping import LEAVES, USER_TABLE
from prefs.sql.expressions import path_literal
from prefs.sql.names import names, quote

TITLE = "Catch-up and reverse backfill"
HOW = (
    "Catch-up: `backfill_prefs` in the state `dual_write`, after the blob of one user in a hundred"
    " was changed behind the triggers' back. Reverse: `backfill_prefs --reverse` in the state"
    " `read_cutover`, after every document was changed in `mirror_off`, so that every users row is"
    " rewritten; the growth of the users table is what it leaves to autovacuum."
)
_FLAG = next(leaf for leaf in LEAVES if leaf.table == USER_TABLE and isinstance(leaf.domain, Flag))


def measure(bench: Bench) -> list[Series]:
    """Seconds, WAL, and what the reverse backfill leaves behind."""
    once = bench.databases.once
    behind = once("behind", partial(_fall_behind, bench), in_state(bench, "mirror_off"))
    drifted = once("drifted", partial(_drift, bench), in_state(bench, "dual_write"))
    users = bench.options.users
    samples = bench.compete(
        {
            "catch-up, 1 % drift": ours(bench, drifted, users, "backfill_prefs"),
            "reverse backfill": _grown(
                bench, ours(bench, behind, users, "backfill_prefs", "--reverse")
            ),
        }
    )
    for template in (behind, drifted):
        bench.databases.forget(template)
    return samples.series()


def _drift(bench: Bench, database: str) -> None:
    n = names()
    changed = f"""jsonb_set({n.blob}, {path_literal(_FLAG.path)},
      to_jsonb({n.blob} #> {path_literal(_FLAG.path)} IS DISTINCT FROM 'true'))"""
    bench.databases.execute(
        database,
        f"ALTER TABLE {n.users} DISABLE TRIGGER USER",
        f"""UPDATE {n.users} SET {n.blob} = {changed}
          WHERE {n.key} % 100 = 0 AND jsonb_typeof({n.blob}) = 'object'""",
        f"ALTER TABLE {n.users} ENABLE TRIGGER USER",
    )


def _fall_behind(bench: Bench, database: str) -> None:
    flag = quote(_FLAG.column)
    bench.databases.execute(
        database,
        f"UPDATE {quote(USER_TABLE)} SET {flag} = {flag} IS NOT TRUE"
        f" WHERE {names().residue} IS NULL OR jsonb_typeof({names().residue}) = 'object'",
    )
    bench.prepare(database, "rollback_prefs", "--to", "read_cutover", "--noinput")


def _grown(bench: Bench, contender: Contender) -> Contender:
    """The contender, with the size of the users table before and after."""
    size = f"SELECT pg_total_relation_size('{names().users}')::float8 / 1048576"

    def run(database: str) -> Outcome:
        before = bench.databases.one(database, size)
        outcome = contender.run(database)
        after = bench.databases.one(database, size)
        return {**outcome, "MB of users before": before, "MB of users after": after}

    return Contender(template=contender.template, run=run)

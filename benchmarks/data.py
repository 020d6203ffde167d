"""The data: users as `seed_prefs` makes them, and the same users further on their way.

Everything that the baselines could not read is made readable first, so that all contenders
do the same work on the same data: see `_made_readable`.
"""

from __future__ import annotations

from functools import partial

from benchmarks.bench import Bench
from prefs.engine import seeding
from prefs.mapping import LEAVES, Leaf
from prefs.sql.expressions import path_literal, typed_value
from prefs.sql.names import names

_ODD = 0.02

# What each state on the way takes, from the one before.
_STEPS = {
    "dual_write": (
        ("backfill_prefs",),
        ("advance_prefs", "--to", "dual_write", "--noinput"),
        ("backfill_prefs",),
    ),
    "read_cutover": (
        ("verify_prefs",),
        ("advance_prefs", "--to", "read_cutover", "--noinput"),
    ),
    "mirror_off": (
        ("verify_prefs",),
        ("advance_prefs", "--to", "mirror_off", "--noinput"),
    ),
}


def seeded(bench: Bench, users: int) -> str:
    """The template with `users` users in the state expanded, both tables empty."""
    return bench.databases.once(f"seeded_{users}", partial(_seed, bench, users))


def in_state(bench: Bench, state: str) -> str:
    """The template in a state after expanded, with both stores full and equal."""
    states = list(_STEPS)
    place = states.index(state)
    before = in_state(bench, states[place - 1]) if place else seeded(bench, bench.options.users)
    name = f"{state}_{bench.options.users}"
    return bench.databases.once(name, partial(advance, bench, state), before)


def rolled_back(bench: Bench) -> str:
    """The template in the state expanded, with both stores full and equal."""

    def make(database: str) -> None:
        bench.prepare(database, "rollback_prefs", "--to", "expanded", "--noinput")

    name = f"rolled_back_{bench.options.users}"
    return bench.databases.once(name, make, in_state(bench, "dual_write"))


def advance(bench: Bench, state: str, database: str) -> None:
    """Take a database to a state from the one before, by the commands, under all gates."""
    bench.say(f"{database}: to {state}")
    for arguments in _STEPS[state]:
        bench.prepare(database, *arguments)


def _seed(bench: Bench, users: int, database: str) -> None:
    bench.prepare(database, "migrate")

    def progress(done: int) -> None:
        if done % 100_000 == 0:
            bench.say(f"seeded {done} of {users} users")

    with bench.databases.aliased(database) as alias:
        seeding.seed(alias, users, odd=_ODD, seed=bench.options.seed, progress=progress)
    bench.databases.execute(database, *_made_readable())


# A leaf that no plain cast takes, or whose CHECK constraint would refuse what it gives, becomes
# an explicit null, which is quarantined too; what Python's decoder refuses is taken out.
def _made_readable() -> list[str]:
    n = names()
    hostile = f"jsonb_typeof({n.blob}) = 'object' AND {n.blob} ? 'notes'"
    any_odd = " OR ".join([hostile, *map(_is_odd, LEAVES)])
    odd = f"{n.key} IN (SELECT {n.key} FROM odd)"
    return [
        f"CREATE TABLE odd AS SELECT {n.key} FROM {n.users} WHERE {any_odd}",
        "ANALYZE odd",
        f"UPDATE {n.users} SET {n.blob} = {n.blob} - 'notes' WHERE {odd} AND {hostile}",
        *(
            f"UPDATE {n.users} SET {n.blob} = jsonb_set({n.blob}, {path_literal(leaf.path)},"
            f" 'null') WHERE {odd} AND {_is_odd(leaf)}"
            for leaf in LEAVES
        ),
        "DROP TABLE odd",
    ]


def _is_odd(leaf: Leaf) -> str:
    value = f"({names().blob} #> {path_literal(leaf.path)})"
    return f"({value} <> 'null' AND ({typed_value(leaf.domain, value)}) IS NULL)"

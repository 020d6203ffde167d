"""WAL that one write makes, in each route."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from benchmarks.bench import Bench
from benchmarks.contenders import wal
from benchmarks.routes import changes, databases_by_route
from benchmarks.sections.calls import merge
from benchmarks.series import Samples, Series
from prefs.routing import Route

TITLE = "WAL of a write"
_USERS = 20_000
HOW = (
    "How far the WAL grows by 2,000 merges, which are the same in each route. Full-page images and"
    f" autovacuum are off meanwhile. Of {_USERS:,} users at most, whose tables are lived in: each"
    " page has been written before, and before each round it is vacuumed, so that in every route"
    " an update may find room beside the row."
)
_WRITES = 2_000
_BEFORE = 3


def measure(bench: Bench) -> list[Series]:
    """Bytes a merge."""
    rng, samples, unmeasured = random.Random(bench.options.seed), Samples(), Samples()
    few = replace(bench, options=replace(bench.options, users=min(bench.options.users, _USERS)))
    with databases_by_route(few) as aliases:
        # Nobody waits for the disk either: that adds nothing to the WAL.
        bench.databases.configure(
            full_page_writes="off", autovacuum="off", synchronous_commit="off"
        )
        try:
            for _ in range(_BEFORE):
                _round(bench, aliases, rng, unmeasured)
            for _ in range(bench.options.rounds):
                _round(bench, aliases, rng, samples)
        finally:
            bench.databases.configure(
                full_page_writes=None, autovacuum=None, synchronous_commit=None
            )
    return samples.series()


def _round(bench: Bench, aliases: Mapping[str, str], rng: random.Random, samples: Samples) -> None:
    bench.databases.execute("postgres", "CHECKPOINT")
    todo = changes(aliases[Route.BLOB.name], rng, _WRITES)
    for route in Route:
        alias = aliases[route.name]
        before = wal(bench, alias)
        for change in todo:
            merge(alias, change)
        written = wal(bench, alias) - before
        samples.add(f"`merge`, {route.name}", {"WAL bytes": written / len(todo)})
        bench.databases.execute(alias, "VACUUM")
    bench.say(f"{len(todo)} merges in each route")

"""The same backfill at several sizes: time a user, and memory."""

from __future__ import annotations

from benchmarks.bench import Bench, Contender
from benchmarks.contenders import ours
from benchmarks.data import seeded
from benchmarks.series import Outcome, Series

TITLE = "Growth"
HOW = (
    "`backfill_prefs --workers 1` at three sizes. The time a user is by the run's own record, so"
    " that the start of the process counts at no size. Memory is the peak of the whole process."
)
NAMES = ("small", "middle", "large")


def measure(bench: Bench) -> list[Series]:
    """Microseconds a user and megabytes, at each size."""
    sizes = dict(zip(NAMES, bench.options.growth, strict=True))
    samples = bench.compete({name: _at(bench, users) for name, users in sizes.items()})
    for users in sizes.values():
        if users != bench.options.users:
            bench.databases.forget(seeded(bench, users))
    return samples.series()


def _at(bench: Bench, users: int) -> Contender:
    contender = ours(bench, seeded(bench, users), users, "backfill_prefs", "--workers", "1")

    def run(database: str) -> Outcome:
        outcome = contender.run(database)
        recorded = outcome["s by the run's own record"]
        return {"users": users, **outcome, "µs a user": recorded / users * 1e6}

    return Contender(template=contender.template, run=run)

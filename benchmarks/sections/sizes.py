"""How large the tables are, by user."""

from __future__ import annotations

from benchmarks.baselines import TYPED
from benchmarks.bench import Bench
from benchmarks.data import in_state, seeded
from benchmarks.series import Samples, Series
from prefs.sql.names import names, quote

TITLE = "Sizes"
HOW = "`pg_total_relation_size`, indexes and all, right after the load and right after a backfill."


def measure(bench: Bench) -> list[Series]:
    """Bytes a user, before the backfill and after it."""
    samples, users = Samples(), bench.options.users
    for when, template in (
        ("before", seeded(bench, users)),
        ("after", in_state(bench, "dual_write")),
    ):
        for table in (names().users, *map(quote, TYPED)):
            size = bench.databases.one(template, f"SELECT pg_total_relation_size('{table}')")
            samples.add(f"{table}, {when}".replace('"', "`"), {"bytes a user": size / users})
    return samples.series()

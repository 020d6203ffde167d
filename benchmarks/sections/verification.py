"""Comparing both stores of everybody."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.contenders import one_shot_statement, ours
from benchmarks.data import in_state
from benchmarks.series import Series

TITLE = "Verification"
HOW = "`verify_prefs` as a process, in the state `dual_write` after a backfill and its catch-up."


def measure(bench: Bench) -> list[Series]:
    """Seconds for all users."""
    template, users = in_state(bench, "dual_write"), bench.options.users
    contenders = {"one-shot statement": one_shot_statement(bench)} | {
        f"verification, {workers} worker{'s' * (workers > 1)}": ours(
            bench, template, users, "verify_prefs", "--workers", str(workers)
        )
        for workers in (1, 2)
    }
    return bench.compete(contenders).series()

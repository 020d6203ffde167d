"""Filling both tables: ours, and four ways of doing it by hand."""

from __future__ import annotations

from functools import partial

from benchmarks.baselines.orm import chunked_bulk_create, loop_of_save
from benchmarks.baselines.self_update import install, self_update
from benchmarks.bench import Bench, Contender
from benchmarks.contenders import by_hand, in_django, in_session, one_shot_statement, ours
from benchmarks.data import seeded
from benchmarks.databases import Session
from benchmarks.series import Series

TITLE = "Backfill"
HOW = (
    "`backfill_prefs` as a process, from its start to its end, in the state `expanded`. The"
    " one-shot statement is one `INSERT … SELECT` by plain casts for each table, in one"
    " transaction. The loop of `save()` is measured on the first users (10,000 at most) and scaled."
    " The batches that update users to what they are, under a trigger, are of 1,000 users each."
)
_SAVED = 10_000


def measure(bench: Bench) -> list[Series]:
    """Seconds for all users, and WAL."""
    users, template = bench.options.users, seeded(bench, bench.options.users)
    hand = partial(by_hand, bench, template, users=users)
    saved = min(users, _SAVED)
    contenders: dict[str, Contender] = {
        "one-shot statement": one_shot_statement(bench),
        "backfill, 1 worker": ours(bench, template, users, "backfill_prefs", "--workers", "1"),
        "backfill, 2 workers": ours(bench, template, users, "backfill_prefs", "--workers", "2"),
        "chunked `bulk_create`": hand(in_django(bench, partial(chunked_bulk_create, users=users))),
        "trigger-and-self-update batches": hand(in_session(bench, _installed_self_update)),
        "loop of `save()`": hand(
            in_django(bench, partial(loop_of_save, users=saved)), share=saved / users
        ),
    }
    return bench.compete(contenders).series()


def _installed_self_update(session: Session) -> None:
    install(session)
    self_update(session)

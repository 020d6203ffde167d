"""Verification: compare both stores of every user, and say who differs.

Each chunk is one statement, so one snapshot. A complete run that found nothing is the
evidence that gates ask for; a sample is none, and neither is a run that had to repair.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, ClassVar

from prefs.conf import Settings
from prefs.engine import audit, transitions
from prefs.engine.batches import ColumnGone, Control, transaction_of_a_batch
from prefs.engine.evidence import last_settled
from prefs.engine.leases import Tally
from prefs.engine.ranges import held, join
from prefs.engine.repair import Direction, count_users, differing, make_equal, overwrite_mirror
from prefs.engine.sight import rows_of_everybody
from prefs.engine.states import State, current_state
from prefs.engine.tasks import Task
from prefs.engine.workers import WorkerPool
from prefs.models import Run
from prefs.sql import copying

_REPAIRED_AT_ONCE = 100
Report = Callable[[list[Any]], None]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What a comparison of some users found; it counts as evidence for nothing."""

    users: int
    differing: tuple[Any, ...]


def verify(
    alias: str,
    settings: Settings,
    control: Control,
    *,
    repair: bool = False,
    report: Report = lambda _: None,
    workers: int = 1,
) -> Run:
    """Compare all users, or join or resume a comparison that still counts.

    `report` gets the keys of users that differ, from each worker's thread. With `repair` the
    mirror of each is overwritten from the primary under the user's row lock. Settles an open
    flip first.
    Raises ColumnGone, RunHeld, LeaseLost, LockUnavailable and UserRefused.
    """
    transitions.settle_open_flip(alias, control)
    direction = Direction.of(_state(alias).route)
    run = join(Run.Kind.VERIFICATION, Run.Phase.COMPARE, alias, since=last_settled(alias))
    if run.cursor is not None:
        what = "Joins" if held(run, alias) else "Resumes"
        control.notice(f"{what} {run}, after {run.so_far('users')} users.")
    task = _Repair if repair else _Comparison
    run = WorkerPool(run, task(alias, settings, control, direction, report)).work(workers)
    if repair:
        _record_repair(alias, direction, run=run.pk, users=run.users, repaired=run.repaired)
    return run


@dataclass
class _Comparison(Task):
    """Compare, and report who differs."""

    unlocked: ClassVar[Collection[str]] = (Run.Phase.COMPARE,)

    direction: Direction
    report: Report

    def batch(self, phase: str, cursor: Any, after: Any, upto: Any) -> Tally:
        ids = differing(cursor, after, upto)
        self.report(ids)
        return Tally(differing=len(ids))


class _Repair(_Comparison):
    """Compare, and overwrite the mirror of those who differ."""

    unlocked = ()

    def batch(self, phase: str, cursor: Any, after: Any, upto: Any) -> Tally:
        found, repaired = make_equal(cursor, after, upto, self.direction, self.report)
        return Tally(differing=found, repaired=repaired)


def _record_repair(alias: str, direction: Direction, **figures: int) -> None:
    audit.record(alias, audit.Event.REPAIR, f"verify --repair, {direction.value}", **figures)


def _state(alias: str) -> State:
    state = current_state(alias)
    if state is State.DROPPED:
        raise ColumnGone
    return state


def verify_sample(alias: str, size: int, *, repair: bool = False) -> Sample:
    """Compare about `size` users taken at random over the whole table.

    Raises ColumnGone, and Django's OperationalError where a row stays locked. Locks as
    `verify`.
    """
    direction = Direction.of(_state(alias).route)
    percent = min(100.0, 100.0 * 1.5 * size / max(1, count_users(alias)) + 0.01)
    taken = rows_of_everybody(alias, copying.random_users(), percent=percent, size=size)
    ids = [key for (key,) in taken]
    found = tuple(key for (key,) in rows_of_everybody(alias, copying.difference_of(), ids=ids))
    if repair:
        for begin in range(0, len(found), _REPAIRED_AT_ONCE):
            with transaction_of_a_batch(alias) as cursor:
                overwrite_mirror(cursor, found[begin : begin + _REPAIRED_AT_ONCE], direction)
        _record_repair(alias, direction, users=len(ids), repaired=len(found))
    return Sample(users=len(ids), differing=found)

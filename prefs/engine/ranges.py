"""Ranges: how PostgreSQL hands the users of one run out to many workers, on any host.

A range is the next so many users after the last that was handed out, so all are even by rows
whatever their keys are, and nothing is counted beforehand. A worker takes over a range that
nobody holds, else it has a new one cut off; where neither is left and every range is done, the
phase is over.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connections, transaction

from prefs.conf import Settings
from prefs.engine.batches import Batch, to_key
from prefs.engine.evidence import database_now
from prefs.engine.flips import lock_transitions
from prefs.engine.leases import (
    OPEN,
    LeaseLost,
    RunHeld,
    abandon,
    create,
    holder,
    open_run,
    resumable,
)
from prefs.engine.sight import see_everybody
from prefs.models import Range, Run
from prefs.sql import copying
from prefs.sql import ranges as sql

# At most a second of one worker's work, so that no worker is long without any at the end.
USERS = 20_000


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the workers of a run do: the batch of a phase, and the phase after it, if any.

    A phase in `chores` has no batches: what is to be done, once at least, is there. In those
    that are `unlocked` a batch locks no user, so it may take longer.
    """

    batch: Callable[[str], Batch]
    next_phase: Callable[[str], Run.Phase | None]
    total: int
    chores: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    unlocked: Collection[str] = ()


def join(
    kind: Run.Kind,
    phase: Run.Phase,
    alias: str,
    settings: Settings,
    *,
    since: datetime | None,
    rival: Run.Kind | None = None,
) -> Run:
    """The open run of `kind`, to work on beside whoever does, or a new one.

    An open run whose phase began before `since` is abandoned, unless a worker is still on it.
    Raises RunHeld then, where it is being stopped, and where workers are on a run of
    the kind `rival`. Takes the advisory lock of transitions for a moment.
    """
    with transaction.atomic(using=alias, durable=True):
        lock_transitions(alias)
        now = database_now(alias)
        if rival is not None and (other := open_run(rival, alias)):
            _must_be_idle(other, now, alias)
        found = open_run(kind, alias, lock=True)
        if found is None:
            return create(kind, phase, now, alias)
        if found.stopping or not resumable(found, since):
            _must_be_idle(found, now, alias)
        if not resumable(found, since):
            abandon(found, now, alias)
            return create(kind, phase, now, alias)
        found.status, found.stopping, found.error = Run.Status.RUNNING, False, ""
        if not held(found, alias):
            # What was ordered of those who are gone; but a run that is paused stays so.
            found.max_rate = found.target_ms = None
        found.save(using=alias)
        return found


def held(run: Run, alias: str) -> list[Range]:
    """The ranges of a run that workers are on, by their leases."""
    ranges = run.ranges.using(alias).filter(lease_until__gt=database_now(alias))
    return list(ranges.order_by("pk"))


def _must_be_idle(run: Run, now: datetime, alias: str) -> None:
    working = held(run, alias)
    if working:
        last = max(working, key=lambda each: each.lease_until or now)
        left = ((last.lease_until or now) - now).total_seconds()
        raise RunHeld(run, ", ".join(sorted({each.holder for each in working})), left)


def claim(run: Run, worker: str, job: Job, alias: str, settings: Settings) -> Range | None:
    """A range for this worker: one that nobody holds, else the next; None where there is none.

    Locks the row of the run while it cuts a range off. Raises LeaseLost where the run was
    abandoned meanwhile.
    """
    given: dict[str, Any] = {"run": run.pk, "holder": worker, "lease": settings.lease}
    with transaction.atomic(using=alias, durable=True):
        with connections[alias].cursor() as cursor:
            cursor.execute(sql.take_over(), given)
            taken = cursor.fetchone()
        if taken is not None:
            # Another worker may have gone and called the run interrupted; it is not.
            ended = (Run.Status.INTERRUPTED, Run.Status.FAILED)
            left = Run.objects.using(alias).filter(pk=run.pk, status__in=ended)
            left.update(status=Run.Status.RUNNING)
            return Range.objects.using(alias).get(pk=taken[0])
        return _cut_off(run, worker, job, alias, settings)


def _cut_off(run: Run, worker: str, job: Job, alias: str, settings: Settings) -> Range | None:
    found = _locked(run, alias)
    if found.status not in OPEN or found.stopping or found.phase in job.chores:
        return None
    upto, users = _next_users(found, USERS, alias)
    if not users:
        return None
    cut = Range.objects.using(alias).create(
        run=found,
        cursor=found.cursor,
        upto=str(upto),
        holder=worker,
        lease_until=database_now(alias) + settings.lease,
    )
    found.cursor, found.status = cut.upto, Run.Status.RUNNING
    found.save(using=alias, update_fields=["cursor", "status"])
    return cut


def _locked(run: Run, alias: str) -> Run:
    found = Run.objects.using(alias).select_for_update().get(pk=run.pk)
    if found.status == Run.Status.ABANDONED:
        raise LeaseLost(found)
    return found


def _next_users(run: Run, size: int, alias: str) -> tuple[Any, int]:
    """The last key of the next users, and how many they are; in a transaction of ours."""
    see_everybody(alias)
    with connections[alias].cursor() as cursor:
        after = {"after": to_key(run.cursor), "last": None, "size": size}
        cursor.execute(copying.chunk_end(), after)
        upto, users = cursor.fetchone()
    return upto, int(users)


def fold(taken: Range, alias: str) -> None:
    """End a range that is done, and add what it did to its run. Raises LeaseLost."""
    _under_token(sql.fold(), taken, alias)


def release(taken: Range, alias: str) -> None:
    """Leave a range for whoever takes it up next; nothing where it was lost."""
    with connections[alias].cursor() as cursor:
        cursor.execute(sql.release(), {"id": taken.pk, "token": taken.token})


def _under_token(statement: str, taken: Range, alias: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute(statement, {"id": taken.pk, "token": taken.token})
        if cursor.fetchone() is None:
            raise LeaseLost(taken)


def phase_of(run: Run, alias: str) -> str:
    """The phase that a run is in now."""
    phase: str = Run.objects.using(alias).values_list("phase", flat=True).get(pk=run.pk)
    return phase


def is_over(run: Run, phase: str, job: Job, alias: str) -> bool:
    """Whether the run is over; begins the phase after `phase` where that is done.

    False also where others hold what is left. Locks the row of the run for a moment. Raises
    LeaseLost where the run was abandoned.
    """
    with transaction.atomic(using=alias, durable=True):
        found = _locked(run, alias)
        if found.status == Run.Status.DONE or found.stopping:
            return True
        if found.phase != phase or found.ranges.using(alias).exists():
            return False
        if phase not in job.chores and _next_users(found, 1, alias)[1]:
            return False
        following, now = job.next_phase(found.phase), database_now(alias)
        if following is not None:
            found.phase, found.phase_began_at = following, now
            found.cursor, found.users = None, 0
        else:
            found.status, found.finished_at = Run.Status.DONE, now
        found.save(using=alias)
        return following is None


def conclude(run: Run, alias: str, error: BaseException | None) -> None:
    """Record that this process leaves a run: interrupted or failed, unless others go on."""
    with transaction.atomic(using=alias, durable=True):
        found = _locked(run, alias)
        if found.status == Run.Status.RUNNING and not held(found, alias):
            # An order to stop stands: a process that waits for work has yet to hear it.
            found.status = Run.Status.FAILED if error else Run.Status.INTERRUPTED
            found.error = f"{type(error).__name__}: {error}" if error else ""
            found.save(using=alias, update_fields=["status", "error"])


def worker_name(number: int) -> str:
    """Who a worker is, for other operators."""
    return f"{holder()}, worker {number}"

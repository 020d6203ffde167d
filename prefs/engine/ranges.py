"""Ranges: how PostgreSQL hands the users of one run out to many workers, on any host.

A range is the next so many users after the last that was handed out, so all are even by rows
whatever their keys are, and nothing is counted beforehand. A worker takes over a range that
nobody holds, else it has a new one cut off; where neither is left and every range is done, the
phase is over.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import connections, transaction

from prefs.engine import audit
from prefs.engine.batches import to_key
from prefs.engine.evidence import database_now
from prefs.engine.flips import lock_transitions
from prefs.engine.leases import OPEN, LeaseLost, RunHeld, holder
from prefs.engine.sight import must_see_everybody, see_everybody
from prefs.engine.tasks import Task
from prefs.models import Range, Run
from prefs.sql import copying
from prefs.sql import ranges as sql
from prefs.sql.asking import execute, one

# At most a second of one worker's work, so that no worker is long without any at the end.
USERS = 20_000
# As a moment since which nothing counts that an open run has done: it is never gone on with.
ANEW = datetime.max.replace(tzinfo=UTC)


def join(
    kind: Run.Kind,
    phase: Run.Phase,
    alias: str,
    *,
    since: datetime | None,
    rival: Run.Kind | None = None,
) -> Run:
    """The open run of `kind`, to work on beside whoever does, or a new one.

    An open run whose phase began before `since` is abandoned, unless a worker is still on it.
    Raises RunHeld then, where it is being stopped, and where workers are on a run of
    the kind `rival`. Takes the advisory lock of transitions for a moment. Raises UsersHidden.
    """
    must_see_everybody(alias)
    with transaction.atomic(using=alias, durable=True):
        lock_transitions(alias)
        now = database_now(alias)
        if rival is not None and (other := open_run(rival, alias)):
            _must_be_idle(other, now, alias)
        found = open_run(kind, alias, lock=True)
        if found is None:
            return _create(kind, phase, now, alias)
        if found.stopping or not resumable(found, since):
            _must_be_idle(found, now, alias)
        if not resumable(found, since):
            _abandon(found, now, alias)
            return _create(kind, phase, now, alias)
        if not held(found, alias):
            _record_resumption(found, alias)
            # What was ordered of those who are gone; but a run that is paused stays so.
            found.max_rate = found.target_ms = None
        found.status, found.stopping, found.error = Run.Status.RUNNING, False, ""
        found.save(using=alias)
        return found


def _record_resumption(left: Run, alias: str) -> None:
    """Put into the audit that a run goes on which nobody is at work on, and how it was left.

    One that is called running was left by a process that is gone, where ranges were left with it;
    else it may be between two ranges, or in a phase that has none.
    """
    if left.status != Run.Status.RUNNING or left.ranges.using(alias).exists():
        _record(audit.Event.RESUMED, left, alias, left=left.status)


def _record(event: audit.Event, run: Run, alias: str, **figures: Any) -> None:
    users = run.so_far("users")
    audit.record(alias, event, str(run), run=run.pk, phase=run.phase, users=users, **figures)


def _create(kind: Run.Kind, phase: Run.Phase, now: datetime, alias: str) -> Run:
    return Run.objects.using(alias).create(
        kind=kind, phase=phase, holder=holder(), started_at=now, phase_began_at=now
    )


def open_run(kind: Run.Kind, alias: str, *, lock: bool = False) -> Run | None:
    """The run of `kind` that is not over; with `lock`, under a lock on its row."""
    runs = Run.objects.using(alias).filter(kind=kind, status__in=OPEN)
    return (runs.select_for_update() if lock else runs).first()


def resumable(run: Run, since: datetime | None) -> bool:
    """Whether an open run goes on at its cursor, given that things changed at `since`.

    Its phase is what counts: a catch-up begun after a flip holds, whenever the copy began.
    """
    return since is None or run.phase_began_at > since


def _abandon(run: Run, now: datetime, alias: str) -> None:
    """End a run that counts no longer; whoever still holds a range of it loses that."""
    run.status, run.finished_at = Run.Status.ABANDONED, now
    run.save(using=alias)
    run.ranges.using(alias).all().delete()


def held(run: Run, alias: str) -> list[Range]:
    """The ranges of a run that workers are on, by their leases."""
    ranges = run.ranges.using(alias).filter(lease_until__gt=database_now(alias))
    return list(ranges.order_by("pk"))


def _must_be_idle(run: Run, now: datetime, alias: str) -> None:
    working = held(run, alias)
    if working:
        last = max(working, key=lambda each: each.lease_until or now)
        left = ((last.lease_until or now) - now).total_seconds()
        raise RunHeld(
            f"{run} is held by {', '.join(sorted({each.holder for each in working}))}. Its lease"
            f" ends in {max(left, 0):.0f} s unless it is renewed: where that process is dead, run"
            " this command again then, and it resumes."
        )


def claim(run: Run, worker: str, task: Task) -> Range | None:
    """A range for this worker: one that nobody holds, else the next; None where there is none.

    Locks the row of the run while it cuts a range off. Raises LeaseLost where the run was
    abandoned meanwhile.
    """
    alias = task.alias
    given = {"run": run.pk, "holder": worker, "lease": task.settings.lease}
    with transaction.atomic(using=alias, durable=True):
        taken = one(connections[alias], sql.take_over(), given)
        if taken is None:
            return _cut_off(run, worker, task)
        # Another worker may have gone and called the run interrupted; it is not.
        ended = (Run.Status.INTERRUPTED, Run.Status.FAILED)
        left = Run.objects.using(alias).filter(pk=run.pk, status__in=ended)
        left.update(status=Run.Status.RUNNING)
        return Range.objects.using(alias).get(pk=taken[0])


def _cut_off(run: Run, worker: str, task: Task) -> Range | None:
    alias = task.alias
    found = locked(run, alias)
    if found.status not in OPEN or found.stopping or found.phase in task.chores:
        return None
    upto, users = _next_users(found, USERS, alias)
    if not users:
        return None
    cut = Range.objects.using(alias).create(
        run=found,
        cursor=found.cursor,
        upto=str(upto),
        holder=worker,
        lease_until=database_now(alias) + task.settings.lease,
    )
    found.cursor, found.status = cut.upto, Run.Status.RUNNING
    found.save(using=alias, update_fields=["cursor", "status"])
    return cut


def locked(run: Run, alias: str) -> Run:
    """The run as it is now, under a lock on its row. Raises LeaseLost where it was abandoned."""
    found = Run.objects.using(alias).select_for_update().get(pk=run.pk)
    if found.status == Run.Status.ABANDONED:
        raise LeaseLost(found)
    return found


def _next_users(run: Run, size: int, alias: str) -> tuple[Any, int]:
    """The last key of the next users, and how many they are; in a transaction of ours."""
    see_everybody(alias)
    after = {"after": to_key(run.cursor), "last": None, "size": size}
    upto, users = one(connections[alias], copying.chunk_end(), after)
    return upto, int(users)


def fold(taken: Range, alias: str) -> None:
    """End a range that is done, and add what it did to its run. Raises LeaseLost."""
    if not execute(connections[alias], sql.fold(), {"id": taken.pk, "token": taken.token}):
        raise LeaseLost(taken)


def release(taken: Range, alias: str) -> None:
    """Leave a range for whoever takes it up next; nothing where it was lost."""
    execute(connections[alias], sql.release(), {"id": taken.pk, "token": taken.token})


def phase_of(run: Run, alias: str) -> str:
    """The phase that a run is in now."""
    phase: str = Run.objects.using(alias).values_list("phase", flat=True).get(pk=run.pk)
    return phase


def is_over(run: Run, phase: str, task: Task) -> bool:
    """Whether the run is over; begins the phase after `phase` where that is done.

    False also where others hold what is left. Locks the row of the run for a moment. Raises
    LeaseLost where the run was abandoned.
    """
    alias = task.alias
    with transaction.atomic(using=alias, durable=True):
        found = locked(run, alias)
        if found.status == Run.Status.DONE or found.stopping:
            return True
        if found.phase != phase or found.ranges.using(alias).exists():
            return False
        if phase not in task.chores and _next_users(found, 1, alias)[1]:
            return False
        following = task.phase_after(phase)
        if following is not None:
            enter_phase(found, following, alias)
        else:
            found.status, found.finished_at = Run.Status.DONE, database_now(alias)
            found.save(using=alias)
        return following is None


def enter_phase(run: Run, phase: Run.Phase, alias: str) -> None:
    """Begin a phase of a run, whose row is locked, at the first user."""
    run.phase, run.phase_began_at = phase, database_now(alias)
    run.cursor, run.users = None, 0
    run.save(using=alias)


def conclude(run: Run, alias: str, error: BaseException | None) -> None:
    """Record that this process leaves a run: interrupted or failed, unless others go on."""
    with transaction.atomic(using=alias, durable=True):
        found = locked(run, alias)
        if found.status == Run.Status.RUNNING and not held(found, alias):
            # An order to stop stands: a process that waits for work has yet to hear it.
            found.status = Run.Status.FAILED if error else Run.Status.INTERRUPTED
            found.error = f"{type(error).__name__}: {error}" if error else ""
            found.save(using=alias, update_fields=["status", "error"])
            _record(audit.Event.INTERRUPTED, found, alias, left=found.status, error=found.error)

"""Runs: background work over all users in batches, that can be stopped anywhere and resumed.

A batch's rows, its counters and its cursor commit in one transaction, which also renews
the run's lease under its token. A process that lost its lease (it was stopped for long,
and another took over) fails its next batch, and with it everything the batch did.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db import DatabaseError, connections, transaction

from prefs.clock import Clock
from prefs.conf import Settings
from prefs.ddl import LOCK_NOT_AVAILABLE, sqlstate
from prefs.engine.evidence import database_now
from prefs.engine.flips import lock_transitions
from prefs.engine.states import State, current_state
from prefs.models import Run
from prefs.sql import copying

# Below deadlock_timeout (1 s), so that it is always the background work that yields.
LOCK_TIMEOUT_MS = 50
# Lock timeout, deadlock, a user deleted under our feet: all of them pass.
_PASSING = (LOCK_NOT_AVAILABLE, "40P01", "23503")
_UNDEFINED_COLUMN = "42703"
_LONGEST_PAUSE = 1.0
OPEN = (Run.Status.RUNNING, Run.Status.INTERRUPTED, Run.Status.FAILED)


class RunHeld(RuntimeError):
    """Another process holds the lock of this kind of run."""

    def __init__(self, run: Run, seconds: float) -> None:
        super().__init__(
            f"{run} is held by {run.holder}. Its lease ends in {max(seconds, 0):.0f} s unless it"
            " is renewed: where that process is dead, run this command again then, and it"
            " resumes."
        )


class ColumnGone(RuntimeError):
    """There is no blob to copy or compare with."""

    def __init__(self) -> None:
        super().__init__(
            "The column was dropped, so there is no blob to copy or to compare. Run `manage.py"
            " rollback_prefs --to mirror_off` to restore it, if that is what you want."
        )


class LeaseLost(RuntimeError):
    """This process was too slow: its lease ran out and another took the run over."""

    def __init__(self, run: Run) -> None:
        super().__init__(
            f"The lease of {run} was lost to another process; this one stopped, and what it"
            " had not committed is undone. See `manage.py status_prefs`."
        )


class LockUnavailable(RuntimeError):
    """A row that stayed locked for longer than the site's patience."""

    def __init__(self, run: Run, seconds: float) -> None:
        super().__init__(
            f"{run} found the user after key {run.cursor} locked for {seconds:.0f} s and"
            " stopped; nothing is lost. A long transaction holds the row: end it (see"
            " pg_stat_activity), then run this command again, and it resumes."
        )


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is, after a batch."""

    phase: str
    users: int
    total: int
    differing: int
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Control:
    """How a run meets the world: its clock, whom it tells, and who can stop it."""

    clock: Clock = field(default_factory=Clock)
    progress: Callable[[Progress], None] = lambda _: None
    notice: Callable[[str], None] = lambda _: None
    stopped: Callable[[], bool] = lambda: False
    batch_size: int = 1_000
    max_rate: float | None = None
    drain_timeout: float | None = None


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What one batch did."""

    copied: int = 0
    differing: int = 0
    repaired: int = 0


# Takes a cursor in the batch's transaction, and the key range (after, up to] of the batch.
Batch = Callable[[Any, Any, Any], Tally]


def holder() -> str:
    """Who this process is, for other operators."""
    return f"pid {os.getpid()} on {socket.gethostname()}"


def take(
    kind: Run.Kind, phase: Run.Phase, alias: str, settings: Settings, *, since: datetime | None
) -> Run:
    """The open run of `kind`, taken over at its cursor, or a new one.

    An open run whose phase began before `since` is abandoned: what it did counts no longer. Raises
    RunHeld where another process holds its lease. Takes the advisory lock of
    transitions for a moment.
    """
    with transaction.atomic(using=alias, durable=True):
        lock_transitions(alias)
        now = database_now(alias)
        # Locked, so that a batch of the holder before has committed whole or will fail.
        open_runs = Run.objects.using(alias).filter(kind=kind, status__in=OPEN)
        found = open_runs.select_for_update().first()
        if found is not None:
            lease = found.lease_until if found.status == Run.Status.RUNNING else None
            if lease is not None and lease > now:
                raise RunHeld(found, (lease - now).total_seconds())
            if resumable(found, since):
                return _take_over(found, now, alias, settings)
            found.status, found.finished_at = Run.Status.ABANDONED, now
            found.save(using=alias)
        return Run.objects.using(alias).create(
            kind=kind,
            phase=phase,
            holder=holder(),
            started_at=now,
            phase_began_at=now,
            lease_until=now + settings.lease,
        )


def resumable(run: Run, since: datetime | None) -> bool:
    """Whether an open run goes on at its cursor, given that things changed at `since`.

    Its phase is what counts: a catch-up begun after a flip holds, whenever the copy began.
    """
    return since is None or run.phase_began_at > since


def _take_over(run: Run, now: datetime, alias: str, settings: Settings) -> Run:
    run.token += 1
    run.status, run.holder, run.error = Run.Status.RUNNING, holder(), ""
    run.lease_until = now + settings.lease
    run.save(using=alias)
    return run


def close(run: Run, alias: str, status: Run.Status, error: str = "") -> None:
    """Release the lease under its token and record how the run stands."""
    now = database_now(alias)
    finished = now if status == Run.Status.DONE else None
    _save(run, alias, status=status, error=error, lease_until=None, finished_at=finished)


def enter_phase(run: Run, alias: str, phase: Run.Phase) -> None:
    """Begin a phase of a run at the first user. Raises LeaseLost."""
    _save(run, alias, phase=phase, phase_began_at=database_now(alias), cursor=None, users=0)


def renew(run: Run, alias: str, settings: Settings) -> None:
    """Renew the lease under its token; in a transaction, hold it to the end. Raises LeaseLost."""
    _save(run, alias, lease_until=database_now(alias) + settings.lease)


def _save(run: Run, alias: str, **values: Any) -> None:
    """Write to the run under its token, then to this copy of it. Raises LeaseLost."""
    with transaction.atomic(using=alias):
        _renew(run, alias, values)
    _remember(run, values)


def _renew(run: Run, alias: str, values: dict[str, Any]) -> None:
    held = Run.objects.using(alias).filter(pk=run.pk, token=run.token)
    if not held.filter(status=Run.Status.RUNNING).update(**values):
        raise LeaseLost(run)


def _remember(run: Run, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(run, name, value)


def guarded(run: Run, alias: str, work: Callable[[], bool]) -> Run:
    """Do the work of a run and record how it ended: done, interrupted, or failed and why.

    `work` returns whether it came to the end, and may close the run itself, as done, in its
    last transaction.
    """
    try:
        status = Run.Status.DONE if work() else Run.Status.INTERRUPTED
    except LeaseLost:
        raise
    except BaseException as error:
        _record_failure(run, alias, error)
        raise
    if run.status == Run.Status.RUNNING:
        close(run, alias, status)
    return run


def _record_failure(run: Run, alias: str, error: BaseException) -> None:
    # Where the database is what failed, the lease runs out by itself.
    with contextlib.suppress(DatabaseError, LeaseLost):
        close(run, alias, Run.Status.FAILED, f"{type(error).__name__}: {error}")


def walk(
    run: Run, alias: str, settings: Settings, control: Control, batch: Batch, total: int
) -> bool:
    """Take `batch` over all users from the run's cursor on, in key order, chunk by chunk.

    A chunk that meets a lock is halved and tried again; background work never makes a live
    statement the victim of a deadlock. Returns False where `control.stopped` said so.
    Raises LeaseLost, LockUnavailable, and ColumnGone where it was dropped meanwhile.
    """
    size, pause = control.batch_size, 0.01
    stuck_since: float | None = None
    while not control.stopped():
        began = control.clock.now()
        try:
            users = _one_batch(run, alias, settings, batch, _paced(size, control))
        except DatabaseError as error:
            if sqlstate(error) == _UNDEFINED_COLUMN and current_state(alias) is State.DROPPED:
                raise ColumnGone from error
            if sqlstate(error) not in _PASSING:
                raise
            stuck_since = stuck_since or began
            _give_up_when_stuck(run, settings, control, stuck_since)
            size, pause = max(1, size // 2), min(pause * 2, _LONGEST_PAUSE)
            run.retries += 1
            control.progress(_progress(run, total, f"yielding to a lock, batch {size}"))
            control.clock.sleep(random.uniform(0.5, 1.5) * pause)
            continue
        if users == 0:
            return True
        stuck_since, pause = None, 0.01
        size = min(control.batch_size, size * 2)
        control.progress(_progress(run, total, ""))
        _keep_rate(users, began, control)
    return False


def _one_batch(run: Run, alias: str, settings: Settings, batch: Batch, size: int) -> int:
    """One chunk in one transaction: rows, counters, cursor and lease. Returns its users."""
    values: dict[str, Any] = {}
    with transaction.atomic(using=alias, durable=True), connections[alias].cursor() as cursor:
        cursor.execute(copying.batch_settings(), {"lock_timeout": f"{LOCK_TIMEOUT_MS}ms"})
        after = None if run.cursor is None else _key_field().to_python(run.cursor)
        cursor.execute(copying.chunk_end(), {"after": after, "size": size})
        upto, users = cursor.fetchone()
        if users:
            values = _after_batch(run, upto, users, batch(cursor, after, upto))
            values["lease_until"] = database_now(alias) + settings.lease
            _renew(run, alias, values)
    # Only what has committed: a batch that fails leaves this copy as it was.
    _remember(run, values)
    return int(users)


def _after_batch(run: Run, upto: Any, users: int, tally: Tally) -> dict[str, Any]:
    return {
        "cursor": str(upto),
        "users": run.users + users,
        "copied": run.copied + tally.copied,
        "differing": run.differing + tally.differing,
        "repaired": run.repaired + tally.repaired,
        "batches": run.batches + 1,
        "retries": run.retries,
    }


def _key_field() -> Any:
    return get_user_model()._meta.pk


def _give_up_when_stuck(run: Run, settings: Settings, control: Control, since: float) -> None:
    seconds = control.clock.now() - since
    if seconds > settings.lock_patience.total_seconds():
        raise LockUnavailable(run, seconds)


def _progress(run: Run, total: int, note: str) -> Progress:
    return Progress(
        phase=run.phase, users=run.users, total=total, differing=run.differing, note=note
    )


def _paced(size: int, control: Control) -> int:
    """No more users in a batch than the rate allows in a second."""
    return size if control.max_rate is None else max(1, min(size, int(control.max_rate)))


def _keep_rate(users: int, began: float, control: Control) -> None:
    if control.max_rate is None:
        return
    until = began + users / control.max_rate
    while not control.stopped() and (left := until - control.clock.now()) > 0:
        control.clock.sleep(min(left, 0.2))

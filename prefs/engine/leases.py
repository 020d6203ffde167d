"""Leases: which process holds a run, and what a process that lost it may no longer do.

A run of one hand (an archive, a correction) is held as a whole; one that many workers share
is held range by range. Either way every write goes under the fencing token of its lease.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connections, transaction

from prefs.conf import Settings
from prefs.engine.evidence import database_now
from prefs.engine.flips import lock_transitions
from prefs.engine.sight import must_see_everybody
from prefs.errors import HeldElsewhere
from prefs.models import Range, Run
from prefs.sql import ranges as sql

OPEN = (Run.Status.RUNNING, Run.Status.INTERRUPTED, Run.Status.FAILED)


class RunHeld(HeldElsewhere):
    """Another process holds what this one would need for itself."""

    def __init__(self, run: Run, holder: str, seconds: float) -> None:
        super().__init__(
            f"{run} is held by {holder}. Its lease ends in {max(seconds, 0):.0f} s unless it"
            " is renewed: where that process is dead, run this command again then, and it"
            " resumes."
        )


class LeaseLost(HeldElsewhere):
    """This process was too slow: its lease ran out and another took over."""

    def __init__(self, what: Run | Range) -> None:
        super().__init__(
            f"The lease of {what} was lost to another process; this one stopped, and what it"
            " had not committed is undone. See `manage.py status_prefs`."
        )


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What one batch did."""

    copied: int = 0
    differing: int = 0
    repaired: int = 0


@dataclass(frozen=True)
class Orders:
    """What an operator wants of a run now, and how far all of its workers have come."""

    paused: bool = False
    stopping: bool = False
    max_rate: int | None = None
    target_ms: int | None = None
    workers: int = 1
    users: int = 0
    differing: int = 0


class Holding:
    """A run or a range in this process's hand: where it is, and the orders it was given last."""

    def __init__(self, row: Run | Range, alias: str, settings: Settings) -> None:
        self.row = row
        self.alias = alias
        self._lease = settings.lease
        self.orders = Orders(users=row.users, differing=row.differing)
        self.retries = 0

    @property
    def upto(self) -> str | None:
        """The last key of a range; None for a run, which goes to the end."""
        return self.row.upto if isinstance(self.row, Range) else None

    def advance(self, cursor: Any, upto: Any, users: int, tally: Tally) -> Orders:
        """Record a batch in its own transaction and renew the lease. Raises LeaseLost.

        Locks the row of the lease until the transaction ends.
        """
        statement = sql.advance_run() if isinstance(self.row, Run) else sql.advance_range()
        added = {**vars(tally), "users": users, "batches": int(users > 0), "retries": self.retries}
        place = {"cursor": None if upto is None else str(upto), "lease": self._lease}
        held = {"id": self.row.pk, "token": self.row.token}
        cursor.execute(statement, {**added, **place, **held})
        found = cursor.fetchone()
        if found is None:
            raise LeaseLost(self.row)
        return Orders(*found)

    def advanced(self, orders: Orders, upto: Any, users: int, tally: Tally) -> None:
        """Follow what has been committed. A batch that fails leaves this copy as it was."""
        self.orders = orders
        added = {**vars(tally), "users": users, "batches": int(users > 0), "retries": self.retries}
        for name, count in added.items():
            setattr(self.row, name, getattr(self.row, name) + count)
        self.row.cursor = self.row.cursor if upto is None else str(upto)
        self.retries = 0

    def renew(self) -> None:
        """Renew the lease without a batch, and hear the orders. Raises LeaseLost."""
        with transaction.atomic(using=self.alias), connections[self.alias].cursor() as cursor:
            orders = self.advance(cursor, None, 0, Tally())
        self.advanced(orders, None, 0, Tally())


def holder() -> str:
    """Who this process is, for other operators."""
    return f"pid {os.getpid()} on {socket.gethostname()}"


def take(
    kind: Run.Kind, phase: Run.Phase, alias: str, settings: Settings, *, since: datetime | None
) -> Run:
    """The open run of `kind`, taken over at its cursor, or a new one, for this process alone.

    An open run whose phase began before `since` is abandoned: what it did counts no longer.
    Raises RunHeld where another process holds its lease. Takes the advisory lock of
    transitions for a moment. Raises UsersHidden.
    """
    must_see_everybody(alias)
    with transaction.atomic(using=alias, durable=True):
        lock_transitions(alias)
        now = database_now(alias)
        # Locked, so that a batch of the holder before has committed whole or will fail.
        found = open_run(kind, alias, lock=True)
        if found is not None:
            lease = found.lease_until if found.status == Run.Status.RUNNING else None
            if lease is not None and lease > now:
                raise RunHeld(found, found.holder, (lease - now).total_seconds())
            if resumable(found, since):
                return _take_over(found, now, alias, settings)
            abandon(found, now, alias)
        return create(kind, phase, now, alias, lease_until=now + settings.lease)


def create(kind: Run.Kind, phase: Run.Phase, now: datetime, alias: str, **values: Any) -> Run:
    """A new run."""
    run = Run(kind=kind, phase=phase, holder=holder(), started_at=now, phase_began_at=now)
    for name, value in values.items():
        setattr(run, name, value)
    run.save(using=alias)
    return run


def open_run(kind: Run.Kind, alias: str, *, lock: bool = False) -> Run | None:
    """The run of `kind` that is not over; with `lock`, under a lock on its row."""
    runs = Run.objects.using(alias).filter(kind=kind, status__in=OPEN)
    return (runs.select_for_update() if lock else runs).first()


def resumable(run: Run, since: datetime | None) -> bool:
    """Whether an open run goes on at its cursor, given that things changed at `since`.

    Its phase is what counts: a catch-up begun after a flip holds, whenever the copy began.
    """
    return since is None or run.phase_began_at > since


def abandon(run: Run, now: datetime, alias: str) -> None:
    """End a run that counts no longer; whoever still holds a range of it loses that."""
    run.status, run.finished_at = Run.Status.ABANDONED, now
    run.save(using=alias)
    run.ranges.using(alias).all().delete()


def _take_over(run: Run, now: datetime, alias: str, settings: Settings) -> Run:
    run.token += 1
    run.status, run.holder, run.error = Run.Status.RUNNING, holder(), ""
    run.paused = run.stopping = False
    run.lease_until = now + settings.lease
    run.save(using=alias)
    return run


def close(run: Run, alias: str, status: Run.Status, error: str = "") -> None:
    """Release the lease under its token and record how the run stands. Raises LeaseLost."""
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
    held = Run.objects.using(alias).filter(pk=run.pk, token=run.token)
    if not held.filter(status=Run.Status.RUNNING).update(**values):
        raise LeaseLost(run)
    for name, value in values.items():
        setattr(run, name, value)

"""Batches: all users of a range, chunk by chunk in key order, stopped anywhere, resumed.

A batch's rows, its counters and its cursor commit in one transaction, which also renews the
lease under its token. A process that lost its lease fails its next batch, and with it
everything the batch did.
"""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth import get_user_model
from django.db import DatabaseError, connections, transaction

from prefs.clock import Clock
from prefs.conf import Settings
from prefs.ddl import LOCK_NOT_AVAILABLE, Tries, sqlstate
from prefs.engine.leases import HeldRange, Tally
from prefs.engine.pace import Pace
from prefs.engine.sight import rows_of_everybody
from prefs.errors import PrefsError, Refused
from prefs.mapping import BLOB_COLUMN
from prefs.sql import copying

# Below deadlock_timeout (1 s), so that it is always the background work that yields.
_LOCK_TIMEOUT_MS = 50
# Lock timeout, deadlock, a user deleted or a row added under our feet, a time limit, a cancel.
_CANCELED = "57014"
_PASSING = (LOCK_NOT_AVAILABLE, "40P01", "23503", "23505", _CANCELED)
# A value, a constraint or a trigger of the site's that refuses some user: worth isolating.
_OF_A_ROW = ("22", "23", "27", "P0", "54")
_UNDEFINED_COLUMN = "42703"
_LONGEST_PAUSE = 1.0
_HELD_BACK = 0.2


class ColumnGone(Refused):
    """There is no blob to copy or compare with."""

    def __init__(self) -> None:
        super().__init__(
            "The column was dropped, so there is no blob to copy or to compare. Run `manage.py"
            " rollback_prefs --to mirror_off` to restore it, if that is what you want."
        )


def blob_was_gone(error: DatabaseError) -> bool:
    """Whether a statement failed because the blob's column was dropped; it may be back by now."""
    said = getattr(getattr(error.__cause__, "diag", None), "message_primary", None) or ""
    # The name stands in it in every language, but not always with a space beside it.
    gone = re.search(rf"\b{re.escape(BLOB_COLUMN)}\b", said, re.ASCII) is not None
    return gone and sqlstate(error) == _UNDEFINED_COLUMN


class LockUnavailable(PrefsError):
    """A row that stayed locked, or out of a time limit's reach, for longer than the patience."""


class UserRefused(PrefsError):
    """One user whom the database refuses, found by taking fewer and fewer at once."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is, after a batch or while it is held back."""

    phase: str
    users: int
    total: int
    differing: int
    note: str = ""
    batch: int = 0
    workers: int = 1
    held_back: bool = False


@dataclass(frozen=True, kw_only=True)
class Control:
    """How a run meets the world: its clock, whom it tells, who can stop it or hold it back.

    `target` is how many seconds a batch that locks users should take; `batch_size` caps its
    users. `throttle` says why work should wait, or nothing.
    """

    clock: Clock = field(default_factory=Clock)
    progress: Callable[[Progress], None] = lambda _: None
    notice: Callable[[str], None] = lambda _: None
    stopped: Callable[[], bool] = lambda: False
    throttle: Callable[[], str] = lambda: ""
    batch_size: int | None = None
    target: float = 0.025
    max_rate: int | None = None
    drain_timeout: float | None = None

    def tries(self, settings: Settings) -> Tries:
        """How DDL tries for its locks."""
        return Tries(
            longest=settings.ddl_lock_timeout,
            patience=settings.lock_patience,
            clock=self.clock,
            notice=self.notice,
            stopped=self.stopped,
        )


# Takes a cursor in the batch's transaction, and the key range (after, up to] of the batch.
Batch = Callable[[Any, Any, Any], Tally]


@contextlib.contextmanager
def transaction_of_a_batch(alias: str) -> Iterator[Any]:
    """A cursor in a transaction that sees everybody, and waits for no lock for long."""
    with transaction.atomic(using=alias, durable=True), connections[alias].cursor() as cursor:
        cursor.execute(copying.batch_settings(), {"lock_timeout": f"{_LOCK_TIMEOUT_MS}ms"})
        yield cursor


class BatchRunner:
    """One worker's way through what it holds."""

    def __init__(
        self, alias: str, settings: Settings, control: Control, phase: str, total: int
    ) -> None:
        self.alias = alias
        self.settings = settings
        self.control = control
        self.phase = phase
        self.total = total
        self.target = control.target
        self.pace = Pace(control.batch_size, self.target)

    def through(self, holding: HeldRange, batch: Batch) -> bool:
        """Take `batch` over all users that `holding` has left; False where it was stopped.

        A chunk that meets a lock or a time limit is halved and tried again; background work
        never makes a live statement the victim of a deadlock. Raises LeaseLost,
        LockUnavailable, UserRefused, and ColumnGone where it was dropped meanwhile.
        """
        pause, stuck_since = 0.01, None
        clock = self.control.clock
        while not self.control.stopped() and not holding.orders.stopping:
            if self._held_back(holding):
                continue
            began, size = clock.now(), self._size(holding)
            try:
                users = self._batch(holding, batch, size)
            except DatabaseError as error:
                self._missed(holding, size, error)
                stuck_since = began if size == 1 and stuck_since is None else stuck_since
                if sqlstate(error) in _PASSING:
                    self._give_up_when_stuck(holding, stuck_since, sqlstate(error))
                    clock.sleep(random.uniform(0.5, 1.5) * pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            if users == 0:
                return True
            pause, stuck_since = 0.01, None
            self.pace.took(users, size, clock.now() - began)
            self._tell(holding, "")
            self._keep_rate(holding, users, began)
        return False

    def _held_back(self, holding: HeldRange) -> bool:
        why = "paused by an operator" if holding.orders.paused else self.control.throttle()
        if why:
            holding.renew()
            self._tell(holding, f"waiting: {why}", held_back=True)
            self.control.clock.sleep(_HELD_BACK)
        return bool(why)

    def _size(self, holding: HeldRange) -> int:
        """No more users in a batch than its share of the rate allows in a second."""
        ordered = holding.orders.target_ms
        self.pace.target = self.target if ordered is None else ordered / 1000
        rate = self._rate(holding)
        return self.pace.size if rate is None else max(1, min(self.pace.size, int(rate)))

    def _rate(self, holding: HeldRange) -> float | None:
        """Users a second for this worker; an order of 0 lifts the limit."""
        ordered = holding.orders.max_rate
        rate = self.control.max_rate if ordered is None else ordered
        return rate / holding.orders.workers if rate else None

    def _batch(self, holding: HeldRange, batch: Batch, size: int) -> int:
        """One chunk in one transaction: rows, counters, cursor and lease. Returns its users."""
        after, last = to_key(holding.row.cursor), to_key(holding.row.upto)
        with transaction_of_a_batch(self.alias) as cursor:
            cursor.execute(copying.chunk_end(), {"after": after, "last": last, "size": size})
            upto, users = cursor.fetchone()
            if users == 0:
                return 0
            tally = batch(cursor, after, upto)
            orders = holding.advance(cursor, upto, users, tally)
        holding.advanced(orders, upto)
        return int(users)

    def _missed(self, holding: HeldRange, size: int, error: DatabaseError) -> None:
        """Take half as many, or say what no smaller batch will cure."""
        state = sqlstate(error)
        if blob_was_gone(error):
            raise ColumnGone from error
        if state not in _PASSING:
            if state[:2] not in _OF_A_ROW:
                raise error
            if size == 1:
                place = {"after": to_key(holding.row.cursor), "last": to_key(holding.row.upto)}
                [(key, _)] = rows_of_everybody(self.alias, copying.chunk_end(), **place, size=1)
                raise UserRefused(
                    f"{holding.row} stopped at user {key}, whom the database refuses:"
                    f" {str(error).strip().splitlines()[0]}. All users before this one in the range"
                    " are done, and nothing is lost. Mend that, then run this command again, and it"
                    " resumes."
                ) from error
        self.pace.missed(size)
        holding.retries += 1
        self._tell(holding, f"{_cause(state)}, batch {self.pace.size}")

    def _give_up_when_stuck(self, holding: HeldRange, since: float | None, state: str) -> None:
        """Lose patience with one user; while there are fewer to take, that is tried first."""
        seconds = 0.0 if since is None else self.control.clock.now() - since
        if seconds <= self.settings.lock_patience.total_seconds():
            return
        found, remedy = "locked", "A long transaction holds the row: end it (see pg_stat_activity)"
        if state == _CANCELED:
            found = "out of reach, its statements canceled,"
            remedy = (
                "End the long transaction that holds the row, if one does (see pg_stat_activity),"
                " or raise the statement_timeout of this role"
            )
        raise LockUnavailable(
            f"{holding.row} found the user after key {holding.row.cursor} {found} for"
            f" {seconds:.0f} s and stopped; nothing is lost. {remedy}, then run this command"
            " again, and it resumes."
        )

    def _tell(self, holding: HeldRange, note: str, *, held_back: bool = False) -> None:
        progress = Progress(
            phase=self.phase,
            users=holding.orders.users,
            total=self.total,
            differing=holding.orders.differing,
            note=note,
            batch=self.pace.size,
            workers=holding.orders.workers,
            held_back=held_back,
        )
        self.control.progress(progress)

    def _keep_rate(self, holding: HeldRange, users: int, began: float) -> None:
        """Wait until these users fit the rate, as it is ordered meanwhile."""
        control = self.control
        while (rate := self._rate(holding)) is not None:
            left = began + users / rate - control.clock.now()
            if left <= 0 or control.stopped() or holding.orders.stopping:
                return
            control.clock.sleep(min(left, _HELD_BACK))
            if left > _LONGEST_PAUSE:
                holding.renew()


def _cause(state: str) -> str:
    if state == _CANCELED:
        return "canceled or timed out"
    return "yielding to a lock" if state in _PASSING else "looking for a user that is refused"


def to_key(text: str | None) -> Any:
    """A user's key from its text in a lease."""
    return None if text is None else get_user_model()._meta.pk.to_python(text)

"""The operators: transitions forward and back, backfills, verifications, repairs, at random.

Each is a process of its own, killed and started again at any moment. They call what the
commands call.
"""

from __future__ import annotations

import abc
import random
import time
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

from django.db import DEFAULT_DB_ALIAS as ALIAS
from django.db import DatabaseError, InterfaceError, connection

from prefs.ddl import LockNotObtained, sqlstate
from prefs.engine import canary
from prefs.engine.archiving import ArchiveInterrupted, ArchiveStale
from prefs.engine.backfill import backfill
from prefs.engine.batches import ColumnGone, Control, LockUnavailable
from prefs.engine.evidence import database_now
from prefs.engine.flips import OpenTransition, StateMoved
from prefs.engine.gates import GateRefused
from prefs.engine.leases import LeaseLost, RunHeld
from prefs.engine.repair import Direction, PrimaryMoved
from prefs.engine.states import EDGES, OutOfOrder, State, current_state
from prefs.engine.verification import verify
from prefs.models import AuditEntry, Run, Transition
from prefs.routing import CANARY
from tests.chaos.board import Board, Epoch
from tests.chaos.evidence import Complaints, Differing
from tests.chaos.taking import SETTINGS, take

# How often the mirror is switched on by somebody who takes their time before and after it.
_UNHURRIED = 0.5
# How often clients read the tables for a while in dual_write.
_BY_CANARY = 0.8
# Another operator was there first, a gate was unmet, a lock was not to be had; the run has ended.
_EXPECTED = (
    ArchiveInterrupted,
    ArchiveStale,
    GateRefused,
    OutOfOrder,
    StateMoved,
    OpenTransition,
    PrimaryMoved,
    ColumnGone,
    RunHeld,
    LeaseLost,
    LockUnavailable,
    LockNotObtained,
    canary.NotRaised,
)


class Operator(abc.ABC):
    """One operator process."""

    def __init__(self, folder: Path, board: Board, seed: str) -> None:
        self.complaints = Complaints(folder)
        self.differing = Differing(folder)
        self.board = board
        self.random = random.Random(seed)

    def run(self, ended: Callable[[], bool]) -> None:
        """Operate until `ended`, or until a signal."""
        self.control = Control(stopped=ended, batch_size=2_000)
        while not ended():
            try:
                self.act()
            except _EXPECTED:
                time.sleep(0.01)
            except (DatabaseError, InterfaceError) as error:
                self._endure(error)

    @abc.abstractmethod
    def act(self) -> None:
        """Do one thing."""

    def _endure(self, error: Exception) -> None:
        state = sqlstate(error)
        if state and state[:2] not in ("08", "57") and state not in ("55P03", "40P01"):
            detail = f"{type(self).__name__}: {type(error).__name__}: {error}"
            self.complaints.add(f"error {state}", detail)
        connection.close()
        time.sleep(0.02)

    def catch_up(self) -> None:
        """Backfill from whatever is the primary now."""
        direction = Direction.of(current_state(ALIAS).route)
        backfill(ALIAS, direction, SETTINGS, self.control)


class Flipper(Operator):
    """Takes one transition after the other, in a direction that changes now and then."""

    forward = True

    def act(self) -> None:
        self.board.wanted = False
        state = current_state(ALIAS)
        self._choose_direction(state)
        if state is State.DUAL_WRITE and self.random.random() < _BY_CANARY:
            self._by_canary()
            # As often back as forward: who writes between two flips writes the blob alone.
            self.forward = self.forward and self.random.random() < 0.5
        ways = [e.target for e in EDGES if e.source is state and e.forward is self.forward]
        if not ways:
            self.forward = not self.forward
            return
        mirrors = ways[0].route.mirrored and not state.route.mirrored
        unhurried = mirrors and self.random.random() < _UNHURRIED
        if unhurried:
            # Many users are written by one route, and differ after the flip.
            time.sleep(self.random.uniform(0, 0.4))
            self._await_a_waiting_write()
        try:
            self._take(ways[0])
        except GateRefused:
            self.catch_up()
            verify(ALIAS, SETTINGS, self.control, report=self.differing.add)
            self.board.passes += 1
            self._take(ways[0])
        if unhurried:
            # Writers who know the column alone meet blobs that are behind, and typed rows.
            time.sleep(self.random.uniform(0, 0.4))

    def _by_canary(self) -> None:
        """Have clients read the tables for a while before the next flip ends that."""
        percent = Decimal(self.random.choice((1, 50, 100)))
        try:
            self._raise(percent)
        except GateRefused:
            self.catch_up()
            verify(ALIAS, SETTINGS, self.control, report=self.differing.add)
            self._raise(percent)
        time.sleep(self.random.uniform(0, 0.5))

    def _raise(self, percent: Decimal) -> None:
        self.board.raises = True
        try:
            canary.turn(ALIAS, CANARY, percent, SETTINGS)
        finally:
            self.board.raises = False

    def _await_a_waiting_write(self) -> None:
        """Let a write begin that waits for a row: its trigger fires after the flip."""
        self.board.wanted = True
        patience = time.monotonic() + 0.4
        while not self.board.waits and time.monotonic() < patience:
            time.sleep(0.01)
        time.sleep(0.01)
        self.board.wanted = False

    def _take(self, target: State) -> None:
        take(target, self.control, forward=self.forward)

    def _choose_direction(self, state: State) -> None:
        epoch = self.board.epoch
        if self.random.random() < 0.2:
            self.forward = not self.forward
        if epoch is Epoch.BOTH_RELEASES and state is State.READ_CUTOVER:
            self.forward = False
        if epoch is Epoch.RETURNING:
            self.forward = False
            if state in (State.EXPANDED, State.DUAL_WRITE) and not is_open():
                self.board.epoch = Epoch.RETURNED
        if epoch is Epoch.RETURNED and state is State.DUAL_WRITE:
            self.forward = False


class Backfiller(Operator):
    """Backfills and verifies, also at moments when nobody needs it."""

    def act(self) -> None:
        time.sleep(self.random.uniform(0.05, 0.3))
        if self.random.random() < 0.5:
            self.catch_up()
        else:
            repair = self.random.random() < 0.5
            verify(ALIAS, SETTINGS, self.control, repair=repair, report=self.differing.add)


def settle() -> None:
    """Bring the site to rest: mirrored, caught up; the leases of the dead run out meanwhile.

    Raises GateRefused where it cannot be brought there for a minute.
    """
    patience = time.monotonic() + 60
    while not _at_rest():
        try:
            _one_step_to_rest()
        except RunHeld:
            pass
        except GateRefused:
            # The evidence is of a run that somebody began before all was caught up.
            if time.monotonic() > patience:
                raise
        time.sleep(0.05)


def _at_rest() -> bool:
    mirrored = current_state(ALIAS) is State.DUAL_WRITE and not is_open()
    if mirrored:
        with suppress(RunHeld):
            control = Control(batch_size=2_000)
            # Not a run that somebody else began: of those some passed users before a flip settled.
            run = backfill(ALIAS, Direction.FORWARD, SETTINGS, control, restart=True)
            return run.status == Run.Status.DONE
    return False


def _one_step_to_rest() -> None:
    control = Control(batch_size=2_000)
    state = current_state(ALIAS)
    if state is State.DUAL_WRITE and not is_open():
        return
    if state is State.READ_CUTOVER:
        backfill(ALIAS, Direction.REVERSE, SETTINGS, control)
        verify(ALIAS, SETTINGS, control)
    forward = state is State.EXPANDED
    target = State.DUAL_WRITE if forward or state is State.DUAL_WRITE else None
    take(target, control, forward=forward)


def differences() -> int:
    """How many users a whole verification, begun now, finds to differ."""
    began = database_now(ALIAS)
    while True:
        with suppress(RunHeld):
            run = verify(ALIAS, SETTINGS, Control(batch_size=2_000))
            if run.started_at >= began:
                return int(run.differing)
        time.sleep(0.05)


def flips() -> int:
    """How many transitions were taken."""
    return Transition.objects.count()


def raises() -> int:
    """How often the canary was raised."""
    entries = AuditEntry.objects.filter(event=AuditEntry.Event.SAMPLE)
    return entries.filter(subject__startswith="canary from 0.0 %").count()


def recorded() -> list[tuple[float, str]]:
    """What the database has on record: (seconds of the epoch, what)."""
    found = []
    for each in Transition.objects.order_by("pk"):
        found.append((each.taken_at.timestamp(), f"transition from {each}"))
        if each.settled_at:
            found.append((each.settled_at.timestamp(), f"{each} has settled"))
    found += [
        (entry.recorded_at.timestamp(), f"{entry.subject} by {entry.program}")
        for entry in AuditEntry.objects.filter(event=AuditEntry.Event.SAMPLE)
    ]
    for run in Run.objects.order_by("pk"):
        found.append((run.phase_began_at.timestamp(), f"{run} begins: {run.phase}"))
        if run.finished_at:
            ended = f"{run} {run.status}, {run.differing} differing"
            found.append((run.finished_at.timestamp(), ended))
    return found


def runs() -> int:
    """How many runs came to their end."""
    return Run.objects.filter(status=Run.Status.DONE).count()


def is_open() -> bool:
    """Whether a transition has not settled."""
    return Transition.objects.filter(settled_at=None).exists()

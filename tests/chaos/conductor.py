"""One run: starts everybody, kills and crashes at random, ends everybody, judges.

It has no connection of its own while others are forked from it: every process begins warm, with
all code loaded, in a few milliseconds.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path

from django.db import connection

from tests.chaos.board import Board, Epoch
from tests.chaos.canary import Canarian
from tests.chaos.client import Client
from tests.chaos.clients import Merger, Newcomers, RawWriter, SecondMerger, Transactor, Unchanged
from tests.chaos.cluster import Server
from tests.chaos.conclusion import Totals, conclude
from tests.chaos.evidence import DEADLOCK, Complaints, look
from tests.chaos.lingering import Holder, Latecomer, Lingerer, Snapshotter
from tests.chaos.operators import Backfiller, Flipper, Operator
from tests.chaos.previous_clients import PreviousSaver, PreviousUpdater
from tests.chaos.processes import become, cancel_somebody, prepare
from tests.chaos.replay import Event
from tests.chaos.row_writer import RowWriter
from tests.chaos.stamper import Stamper
from tests.chaos.tenant import Tenant

Role = type[Client | Operator]
_PREVIOUS: tuple[Role, ...] = (PreviousSaver, PreviousUpdater)
_EVERYBODY: tuple[Role, ...] = (
    Merger,
    SecondMerger,
    Transactor,
    Unchanged,
    RawWriter,
    Newcomers,
    Lingerer,
    Latecomer,
    Snapshotter,
    RowWriter,
    Stamper,
    Holder,
    Flipper,
    Backfiller,
    Tenant,
    Canarian,
    *_PREVIOUS,
)
USERS = 2_000
_TICK = 0.01
_EPOCH_SECONDS = 6.0
# In every so many seconds the first are calm: nothing is killed, so that what went wrong in a flip
# goes on to where it is seen. The others are as violent as to make up for it.
_CYCLE, _CALM = 16.0, 4.0
_VIOLENT = ("kill", "crash", "cancel")
# More users than are ever created in a second.
_BIRTHS = 60


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run is to be: everything at random in it follows from the seed."""

    seconds: float
    seed: int
    broken: Callable[[], AbstractContextManager[None]] | None = None
    looks_every: float = 1.5
    kills_every: float = 0.72
    crashes_every: float = 3.8
    cancels_every: float = 0.5


class Conductor:
    """The parent of all processes of a run."""

    def __init__(self, plan: Plan, server: Server, folder: Path) -> None:
        self.plan = plan
        self.server = server
        self.folder = folder
        self.complaints = Complaints(folder)
        self.board = Board(folder / "board", USERS * 3 + round(_BIRTHS * plan.seconds))
        self.random = random.Random(plan.seed)
        self.totals = Totals(seed=plan.seed)
        self.children: dict[int, Role] = {}
        self.births = 0
        self.events: list[Event] = []

    def run(self, tell: Callable[[str], None]) -> Totals:
        """The whole run; `tell` is given a line of progress now and then."""
        self._in_child(partial(prepare, self.board, USERS))
        self.totals.began = time.time()
        began = time.monotonic()
        with (self.plan.broken or nullcontext)():
            # What breaks the protocol may have altered the database.
            connection.close()
            try:
                self._havoc(began, tell)
            finally:
                self._end_all()
        connection.close()
        self.server.crash()
        conclude(self.totals, self.folder, self.board, self.events)
        if any(each.what == DEADLOCK for each in self.totals.complaints):
            self.totals.stories += self.server.deadlocks()
        self.totals.seconds = time.monotonic() - began
        return self.totals

    def _havoc(self, began: float, tell: Callable[[str], None]) -> None:
        plan = self.plan
        every = {
            "kill": plan.kills_every,
            "crash": plan.crashes_every,
            "cancel": plan.cancels_every,
            "epoch": _EPOCH_SECONDS,
            "look": plan.looks_every if plan.broken else inf,
            "tell": 10.0,
        }
        acts: dict[str, Callable[[], None]] = {
            "kill": self._kill,
            "crash": self._crash,
            "cancel": self._cancel,
            "epoch": self._next_epoch,
            "look": lambda: self._in_child(partial(look, self.folder, self.board)),
            "tell": lambda: tell(self._line(began)),
        }
        due = dict(every)
        while time.monotonic() - began < plan.seconds:
            if plan.broken and self.complaints.any():
                return
            self._reap()
            self._fill_slots()
            for name, moment in due.items():
                if _clock(name, began) >= moment:
                    acts[name]()
                    due[name] = _clock(name, began) + every[name] * self.random.uniform(0.5, 1.5)
            time.sleep(_TICK)

    def _line(self, began: float) -> str:
        return (
            f"{time.monotonic() - began:5.0f} s  about {self.board.written} writes,"
            f" {self.totals.kills} kills, {self.totals.crashes} crashes"
        )

    def _fill_slots(self) -> None:
        """Start whoever is not running and may run in this epoch."""
        running = set(self.children.values())
        epoch = self.board.epoch
        if epoch is Epoch.RETURNED:
            epoch = self.board.epoch = Epoch.BOTH_RELEASES
        for role in _EVERYBODY:
            kept_out = role in _PREVIOUS and epoch is not Epoch.BOTH_RELEASES
            if role not in running and not kept_out:
                self._spawn(role)

    def _spawn(self, role: Role) -> None:
        self.births += 1
        seed = f"{self.plan.seed} {self.births}"
        pid = os.fork()
        if pid:
            self.children[pid] = role
            return
        become(lambda ended: role(self.folder, self.board, seed).run(ended), self.folder)

    def _kill(self) -> None:
        if self.children:
            pid = self.random.choice(list(self.children))
            os.kill(pid, signal.SIGKILL)
            self.totals.kills += 1
            self._note(f"{self.children[pid].__name__} killed")

    def _crash(self) -> None:
        self._note("the server is stopped at once")
        self.server.crash()
        self.totals.crashes += 1

    def _cancel(self) -> None:
        self._in_child(partial(cancel_somebody, self.random.random()))
        self.totals.cancels += 1

    def _next_epoch(self) -> None:
        """Let the previous release go, or have the site come back to where it can run."""
        self._note(f"the epoch after {self.board.epoch.name} begins")
        if self.board.epoch is Epoch.BOTH_RELEASES:
            for pid in [p for p, role in self.children.items() if role in _PREVIOUS]:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                del self.children[pid]
            self.board.epoch = Epoch.THIS_RELEASE
        elif self.board.epoch is Epoch.THIS_RELEASE:
            self.board.epoch = Epoch.RETURNING

    def _note(self, what: str) -> None:
        self.events.append((time.time(), what))

    def _reap(self) -> None:
        for pid in list(self.children):
            done, _ = os.waitpid(pid, os.WNOHANG)
            if done:
                del self.children[pid]

    def _end_all(self) -> None:
        for pid in self.children:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while self.children and time.monotonic() < deadline:
            self._reap()
            time.sleep(_TICK)
        for pid in self.children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self.children.clear()

    def _in_child(self, work: Callable[[], None]) -> None:
        pid = os.fork()
        if pid == 0:
            become(lambda _: work(), self.folder)
        os.waitpid(pid, 0)


def _clock(act: str, began: float) -> float:
    """Seconds since the beginning; for violent acts they stand still in the calm."""
    elapsed = time.monotonic() - began
    if act not in _VIOLENT:
        return elapsed
    cycles, into = divmod(elapsed, _CYCLE)
    return cycles * _CYCLE + max(0.0, into - _CALM) * _CYCLE / (_CYCLE - _CALM)

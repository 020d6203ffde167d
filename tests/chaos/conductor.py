"""One run: starts everybody, kills and crashes at random, ends everybody, judges.

It has no connection of its own while others are forked from it: every process begins warm, with
all code loaded, in a few milliseconds.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from django.db import connection

from tests.chaos import operators
from tests.chaos.board import Board, Epoch
from tests.chaos.checker import Verdict, judge, story
from tests.chaos.clients import PREVIOUS, ROLES, Client
from tests.chaos.cluster import Server
from tests.chaos.ledger import RECORD_BYTES, entries
from tests.chaos.operators import Backfiller, Flipper, Operator

USERS = 2_000
_TICK = 0.01
_TOLD = 3
_EPOCH_SECONDS = 6.0
# More users than are ever created in a second.
_BIRTHS = 60


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run is to be: everything at random in it follows from the seed."""

    seconds: float
    seed: int
    broken: Callable[[], AbstractContextManager[None]] = nullcontext
    kills_every: float = 0.7
    crashes_every: float = 3.8
    cancels_every: float = 0.5


@dataclass(kw_only=True)
class Totals:
    """What a run was."""

    seed: int
    seconds: float = 0.0
    kills: int = 0
    crashes: int = 0
    cancels: int = 0
    flips: int = 0
    runs: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    missing_users: int = 0
    differences: int = 0
    complaints: list[str] = field(default_factory=list)
    stories: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        quiet = not self.complaints and not self.missing_users and not self.differences
        return quiet and self.verdict.clean


class Conductor:
    """The parent of all processes of a run."""

    def __init__(self, plan: Plan, server: Server, folder: Path) -> None:
        self.plan = plan
        self.server = server
        self.folder = folder
        self.board = Board(folder / "board", USERS * 3 + round(_BIRTHS * plan.seconds))
        self.random = random.Random(plan.seed)
        self.totals = Totals(seed=plan.seed)
        self.children: dict[int, type[Client | Operator]] = {}
        self.births = 0
        self.events: list[tuple[float, str]] = []

    def run(self, tell: Callable[[str], None]) -> Totals:
        """The whole run; `tell` is given a line of progress now and then."""
        self._in_child(partial(_prepare, self.board))
        began = time.monotonic()
        with self.plan.broken():
            # What breaks the protocol may have altered the database.
            connection.close()
            try:
                self._havoc(began, tell)
            finally:
                self._end_all()
        connection.close()
        self.server.crash()
        self._conclude()
        self.totals.seconds = time.monotonic() - began
        return self.totals

    # --- while it runs -----------------------------------------------------------------

    def _havoc(self, began: float, tell: Callable[[str], None]) -> None:
        plan = self.plan
        every = {
            "kill": plan.kills_every,
            "crash": plan.crashes_every,
            "cancel": plan.cancels_every,
            "epoch": _EPOCH_SECONDS,
            "tell": 10.0,
        }
        acts: dict[str, Callable[[], None]] = {
            "kill": self._kill,
            "crash": self._crash,
            "cancel": self._cancel,
            "epoch": self._next_epoch,
            "tell": lambda: tell(self._line(began)),
        }
        due = {name: began + every[name] for name in every}
        while (now := time.monotonic()) - began < plan.seconds:
            self._reap()
            self._fill_slots()
            for name, moment in due.items():
                if now >= moment:
                    acts[name]()
                    due[name] = time.monotonic() + every[name] * self.random.uniform(0.5, 1.5)
            time.sleep(_TICK)

    def _line(self, began: float) -> str:
        size = sum(path.stat().st_size for path in self.folder.glob("*.ledger"))
        return (
            f"{time.monotonic() - began:5.0f} s  about {size // (2 * RECORD_BYTES)} writes,"
            f" {self.totals.kills} kills, {self.totals.crashes} crashes"
        )

    def _fill_slots(self) -> None:
        """Start whoever is not running and may run in this epoch."""
        running = set(self.children.values())
        epoch = self.board.epoch
        if epoch is Epoch.RETURNED:
            epoch = self.board.epoch = Epoch.BOTH_RELEASES
        for role in _EVERYBODY:
            kept_out = role in _PREVIOUS_ROLES and epoch is not Epoch.BOTH_RELEASES
            if role not in running and not kept_out:
                self._spawn(role)

    def _spawn(self, role: type[Client | Operator]) -> None:
        self.births += 1
        seed = f"{self.plan.seed} {self.births}"
        pid = os.fork()
        if pid:
            self.children[pid] = role
            return
        _become(lambda ended: role(self.folder, self.board, seed).run(ended), self.folder)

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
        self._in_child(partial(_cancel_somebody, self.random.random()))
        self.totals.cancels += 1

    def _next_epoch(self) -> None:
        """Let the previous release go, or have the site come back to where it can run."""
        self._note(f"the epoch after {self.board.epoch.name} begins")
        if self.board.epoch is Epoch.BOTH_RELEASES:
            for pid in [p for p, role in self.children.items() if role in _PREVIOUS_ROLES]:
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
            _become(lambda _: work(), self.folder)
        os.waitpid(pid, 0)

    # --- when all is over --------------------------------------------------------------

    def _conclude(self) -> None:
        operators.settle()
        totals, board = self.totals, self.board
        totals.differences = operators.differences()
        totals.flips, totals.runs = operators.flips(), operators.runs()
        documents = _documents()
        totals.verdict = judge(entries(self.folder), documents)
        places = range(board.used)
        totals.missing_users = sum(board.is_alive(p) and p not in documents for p in places)
        faults = [*totals.verdict.lost, *totals.verdict.from_nowhere]
        for place, token in faults[:_TOLD]:
            totals.stories.append(f"user {place + 1}, token {token[1]} of client {token[0]}:")
            events = [*self.events, *operators.taken()]
            totals.stories += story(entries(self.folder), place, token, events)
        complaints = self.folder / "complaints"
        if complaints.exists():
            totals.complaints = complaints.read_text().splitlines()
        connection.close()


_EVERYBODY: tuple[type[Client | Operator], ...] = (*ROLES, Flipper, Backfiller)
_PREVIOUS_ROLES = {role for role in ROLES if role.slot in PREVIOUS}


def _become(work: Callable[[Callable[[], bool]], None], folder: Path) -> None:
    """Be a child: do the work until SIGTERM, then leave without the parent's exit handlers."""
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        work(lambda: bool(ended))
    except BaseException:  # noqa: BLE001 - whatever it is, the report shows it
        where, what = traceback.format_exc().splitlines()[-4::3]
        with (folder / "complaints").open("a") as file:
            file.write(f"a process ended: {what.strip()} {where.strip()}\n")
    sys.stdout.flush()
    os._exit(0)


def _prepare(board: Board) -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_user (id, password, is_superuser, username, first_name,"
            " last_name, email, is_staff, is_active, date_joined, preferences)"
            " SELECT n, '', false, 'user ' || n, '', '', '', false, true, now(),"
            ' (ARRAY[\'{}\', \'{"theme": "dark", "beta": [1.0, null]}\','
            ' \'{"notifications": {"email": {"marketing": "yes", "digest": "daily"}}}\']'
            "::jsonb[])[n %% 3 + 1] FROM generate_series(1, %s) n",
            [USERS],
        )
    board.used = USERS
    for place in range(USERS):
        board.set_alive(place, alive=True)


def _cancel_somebody(chance: float) -> None:
    function = "pg_terminate_backend" if chance < 0.3 else "pg_cancel_backend"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {function}(pid) FROM (SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend' ORDER BY random() LIMIT 1) s"
        )


def _documents() -> dict[int, object]:
    from tests.chaos.previous.models import User

    return {pk - 1: document for pk, document in User.objects.values_list("pk", "preferences")}

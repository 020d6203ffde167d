"""Plays the steps of several parts in a chosen order, each part on a connection of its own.

A part is ordinary code of ours in a thread, and a step is what it does up to the next
`pause()`. Whether a step that does not end waits for a lock is read from the lock manager; that
a drain waits, its own clock says when it is asked to sleep. No order is judged by a time-out.
"""

from __future__ import annotations

import enum
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from prefs.clock import Clock
from tests.support.sessions import PATIENCE
from tests.support.stores import query

# How long to listen for the end of a step before the lock manager is asked about it: twice as
# long each time, or on a busy machine more is asked than played.
_GLANCE = 0.002
_SAVEPOINTS = ("SAVEPOINT", "RELEASE", "ROLLBACK")
_here = threading.local()

Work = Callable[[], object]


class Is(enum.Enum):
    """What a lane does at the moment."""

    RUNNING = enum.auto()
    PAUSED = enum.auto()
    """Between two steps."""
    WAITING = enum.auto()
    """In a step, for a lock."""
    DRAINING = enum.auto()
    """In a step, for the transactions that a drain waits for."""
    ENDED = enum.auto()


class Abandoned(Exception):
    """The play was broken off."""


class Lane:
    """A thread with a connection of its own; it plays one part at a time."""

    def __init__(self, news: queue.SimpleQueue[tuple[Lane, Is]]) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._news = news
        self._went = threading.Semaphore(0)
        self._abandoned = False
        self.state = Is.ENDED
        self.error: Exception | None = None
        self.pid: int = self._thread.submit(_connect).result(PATIENCE)

    def begin(self, work: Work) -> None:
        """Have the lane stand before the first step of a part."""
        self.state, self.error = Is.PAUSED, None
        # What a part remembers in context variables it remembers alone, as a process does.
        self._thread.submit(copy_context().run, self._play, work)

    def go(self) -> None:
        """Let it go on; what comes of it is told to the news."""
        self.state = Is.RUNNING
        self._went.release()

    def rest(self, state: Is) -> None:
        """In its own thread: stop here until it may go on."""
        self._news.put((self, state))
        self._went.acquire()
        if self._abandoned:
            raise Abandoned

    def close(self) -> None:
        """End its part, if it has not come to its end, and its connection."""
        self._abandoned = True
        self._went.release()
        self._thread.submit(_disconnect).result(PATIENCE)
        self._thread.shutdown()

    def _play(self, work: Work) -> None:
        _here.lane = self
        self._went.acquire()
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the judge reads it
            self.error = error
        self._news.put((self, Is.ENDED))


def _connect() -> int:
    # No order needs its commits to outlast a crash of the server.
    query("SET synchronous_commit = off")
    return int(query("SELECT pg_backend_pid()")[0][0])


def _disconnect() -> None:
    # Looked up in the thread, where `connection` is another one.
    connection.close()


def pause() -> None:
    """End a step of the part that is playing here, and wait for the next one's turn."""
    _here.lane.rest(Is.PAUSED)


class DrainClock(Clock):
    """The clock of a drain: it stands still, and to sleep is to wait for the others."""

    def now(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        _here.lane.rest(Is.DRAINING)


@contextmanager
def each_statement() -> Iterator[None]:
    """End a step before every statement inside but the first; savepoints are no statements."""
    begun = False

    def run(execute: Any, sql: str, *rest: Any) -> Any:
        nonlocal begun
        if not sql.startswith(_SAVEPOINTS):
            if begun:
                pause()
            begun = True
        return execute(sql, *rest)

    with connection.execute_wrapper(run):
        yield


@dataclass(kw_only=True)
class Played:
    """What came of one order."""

    errors: list[Exception | None] = field(default_factory=list)
    kept: int | None = None
    """How many steps could be taken as the order says; None where all could."""
    waited: bool = False
    """Whether the first step that could not be taken belonged to a part that waits."""


class Stage:
    """Lanes that are kept over many plays, and the connection that observes them."""

    def __init__(self) -> None:
        self._news: queue.SimpleQueue[tuple[Lane, Is]] = queue.SimpleQueue()
        self._lanes: list[Lane] = []

    def play(self, works: Sequence[Work], order: Sequence[int]) -> Played:
        """Take the steps in this order, then whatever is left to its end.

        The next step of a part that waits is left out, and so is one of a part that has ended;
        the order is played on as far as it can be.
        """
        while len(self._lanes) < len(works):
            self._lanes.append(Lane(self._news))
        lanes = self._lanes[: len(works)]
        for lane, work in zip(lanes, works, strict=True):
            lane.begin(work)
        played = Played()
        for place, number in enumerate(order):
            lane = lanes[number]
            if lane.state is Is.PAUSED:
                self._step(lane, lanes)
            elif played.kept is None and any(lanes[n].state is not Is.ENDED for n in order[place:]):
                played.kept, played.waited = place, lane.state is not Is.ENDED
        self._finish(lanes)
        played.errors = [lane.error for lane in lanes]
        return played

    def close(self) -> None:
        for lane in self._lanes:
            lane.close()

    def _step(self, lane: Lane, lanes: Sequence[Lane]) -> None:
        """One step, and what becomes of those that waited before."""
        lane.go()
        for other in lanes:
            if other.state is Is.WAITING:
                other.state = Is.RUNNING
        self._settle(lanes)
        draining = [other for other in lanes if other.state is Is.DRAINING]
        for other in draining:
            other.go()
        self._settle(lanes)

    def _settle(self, lanes: Sequence[Lane]) -> None:
        """Listen until every lane that runs has ended its step, or all those left wait."""
        glance = _GLANCE
        while running := [lane for lane in lanes if lane.state is Is.RUNNING]:
            try:
                self._hear(glance)
            except queue.Empty:
                glance *= 2
                if _waiting(running) and self._news.empty():
                    for lane in running:
                        lane.state = Is.WAITING

    def _hear(self, seconds: float) -> None:
        lane, state = self._news.get(timeout=seconds)
        lane.state = state

    def _finish(self, lanes: Sequence[Lane]) -> None:
        """Play all that is left, part by part; those that wait for each other PostgreSQL parts."""
        while left := [lane for lane in lanes if lane.state is not Is.ENDED]:
            paused = [lane for lane in left if lane.state is Is.PAUSED]
            if paused:
                self._step(paused[0], lanes)
            else:
                assert any(lane.state is Is.WAITING for lane in left), "a drain waits for nobody"
                self._hear(PATIENCE)


def _waiting(lanes: Sequence[Lane]) -> bool:
    """Whether each of these sessions waits for a lock of another."""
    [(free,)] = query(
        "SELECT count(*) FROM unnest(%s::integer[]) pid"
        " WHERE cardinality(pg_blocking_pids(pid)) = 0",
        [[lane.pid for lane in lanes]],
    )
    return bool(free == 0)

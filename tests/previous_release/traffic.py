"""Clients of both releases, who write all the time and remember what was acknowledged.

A client's record is in this process, not in the database. After each write a process of the
other release, where one runs, reads that user: every leaf that the client ever set must be
there, as it was set. Of a user whom nobody else writes the client reads and writes back the
whole document; a shared user is locked (previous release) or merged (this one), since an
unlocked read and write of the previous release loses updates by itself.
"""

from __future__ import annotations

import abc
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from tests.previous_release.documents import name, spelled
from tests.previous_release.processes import Worker
from tests.previous_release.shop.catalogue import CHANGERS, CREATORS

_PAUSE = 0.02
_NEW_USER_EVERY = 40
# loaddata sets the sequence of keys to the highest it sees, past those being inserted.
_CREATORS, _CHANGERS = (
    tuple(writer for writer in writers if not writer.startswith("load_fixture"))
    for writers in (CREATORS, CHANGERS)
)


@dataclass
class Record:
    """What was acknowledged to one client: by user, the leaves it set, and their values."""

    acknowledged: dict[int, dict[str, Any]] = field(default_factory=dict)
    writes: int = 0

    def wrote(self, user: int, leaves: dict[str, Any]) -> None:
        """Remember a write that returned."""
        self.acknowledged.setdefault(user, {}).update(leaves)
        self.writes += 1

    def lost(self, reader: Worker, *users: int) -> list[str]:
        """What `reader` does not find of these users, or of all."""
        asked = users or tuple(self.acknowledged)
        documents = reader.ask("read_all", users=asked)
        return [
            f"user {user}: {leaf} is {spelled(document.get(leaf))}, not {spelled(value)}"
            for user, document in zip(asked, documents, strict=True)
            for leaf, value in self.acknowledged[user].items()
            if spelled(document.get(leaf)) != spelled(value)
        ]


class Client(abc.ABC):
    """One client: its process, who reads after it, its users, and its record.

    `leaf` is the one with a column that this client alone sets, to its `values` in turn. The
    processes that write and read for it come and go.
    """

    writer: Worker
    reader: Worker

    def __init__(self, shared: list[int], leaf: str, values: tuple[Any, ...]) -> None:
        self.record = Record()
        self.found_lost: list[str] = []
        self._name = name()[:6]
        self._shared, self._owned = shared, list[int]()
        self._leaf, self._values = leaf, values
        self._turns: dict[int | None, int] = {}
        self._one_at_a_time = threading.Lock()

    def write_and_read(self) -> None:
        """One write, of the next kind in turn, and what the reader makes of it."""
        with self._one_at_a_time:
            user = self._write(self.record.writes)
            self.found_lost += self.record.lost(self.reader, user)

    def read_by(self, reader: Worker) -> None:
        """From now on this process reads after it, and the one before may end."""
        with self._one_at_a_time:
            self.reader = reader

    def check(self, reader: Worker) -> list[str]:
        """All that was ever lost, `reader` having looked for every acknowledged write."""
        with self._one_at_a_time:
            return [*self.found_lost, *self.record.lost(reader)]

    def _write(self, number: int) -> int:
        if number % _NEW_USER_EVERY == 0:
            leaves = {f"{self._name} {number}": number}
            user = self.add(number // _NEW_USER_EVERY, leaves)
            self._owned.append(user)
        elif number % 2:
            user = self._shared[number // 2 % len(self._shared)]
            leaves = self._leaves(user, number)
            self.set_shared(user, leaves)
        else:
            user = self._owned[number // 2 % len(self._owned)]
            leaves = self._leaves(user, number)
            self.set_owned(number // 2, user, leaves)
        self.record.wrote(user, leaves)
        return user

    def _leaves(self, user: int, number: int) -> dict[str, Any]:
        """The next value of the client's leaf, and mostly a key that is never used again."""
        turn = self._turns[user] = self._turns.get(user, 0) + 1
        leaves = {self._leaf: self._values[turn % len(self._values)]}
        return leaves if turn % 3 == 0 else {**leaves, f"{self._name} {number}": number}

    @abc.abstractmethod
    def add(self, number: int, leaves: dict[str, Any]) -> int:
        """Make a user; their key."""

    @abc.abstractmethod
    def set_shared(self, user: int, leaves: dict[str, Any]) -> None:
        """Set leaves of a user whom others write too."""

    @abc.abstractmethod
    def set_owned(self, number: int, user: int, leaves: dict[str, Any]) -> None:
        """Set leaves of a user of one's own."""


class PreviousClient(Client):
    """A client of the previous release, which goes through all of its writers."""

    def add(self, number: int, leaves: dict[str, Any]) -> int:
        writer = _CREATORS[number % len(_CREATORS)]
        return int(self.writer.ask("add", writer=writer, username=name(), document=leaves))

    def set_shared(self, user: int, leaves: dict[str, Any]) -> None:
        self.writer.ask("lock_and_set", user=user, leaves=leaves)

    def set_owned(self, number: int, user: int, leaves: dict[str, Any]) -> None:
        writer = _CHANGERS[number % len(_CHANGERS)]
        self.writer.ask("set_leaves", writer=writer, user=user, leaves=leaves)


class CurrentClient(Client):
    """A client of this release: merges, and replacements of what it owns."""

    def add(self, number: int, leaves: dict[str, Any]) -> int:
        return int(self.writer.ask("add", username=name(), document=leaves))

    def set_shared(self, user: int, leaves: dict[str, Any]) -> None:
        self.writer.ask("merge", user=user, patch=leaves)

    def set_owned(self, number: int, user: int, leaves: dict[str, Any]) -> None:
        self.writer.ask("set_leaves", user=user, leaves=leaves)


class Traffic:
    """One client, at work in a thread until it is stopped."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.error: BaseException | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stopping.wait(_PAUSE):
                self.client.write_and_read()
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is awaited
            self.error = error

    def await_writes(self, count: int, seconds: float = 20) -> None:
        """Wait until so many further writes were acknowledged; raises what ended the client."""
        wanted, deadline = self.client.record.writes + count, time.monotonic() + seconds
        while self.client.record.writes < wanted:
            if self.error is not None:
                raise self.error
            assert time.monotonic() < deadline, "the client does not get on"
            time.sleep(0.01)

    def stop(self) -> None:
        """End it after the write it is at, and its process; raises what ended it before."""
        self._stopping.set()
        self._thread.join(20)
        if self.error is not None:
            raise self.error

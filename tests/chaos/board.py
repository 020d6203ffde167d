"""What all processes of a run share: a file that is mapped into each, and outlives any of them.

Plain numbers, each written by one process alone, so that no lock is needed.
"""

from __future__ import annotations

import enum
import mmap
from pathlib import Path

SLOTS = 13
_HEADER = 64
_USED, _EPOCH, _HELD, _WAITS, _WANTED, _PASSES, _RAISES = range(SLOTS, SLOTS + 7)


class Epoch(enum.IntEnum):
    """How far transitions may go: processes of the previous release bear no mirror_off."""

    BOTH_RELEASES = 0
    THIS_RELEASE = 1
    RETURNING = 2
    RETURNED = 3


class Board:
    """Which users live, and the last token that each client has had acknowledged for each.

    A user is known by a place, from 0 on; the key of a user is the place plus one.
    """

    def __init__(self, path: Path, places: int) -> None:
        size = _HEADER * 4 + SLOTS * places * 4 + places * 4
        if not path.exists():
            path.write_bytes(b"\0" * size)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)
        words = memoryview(self._map).cast("I")
        self._header = words[:_HEADER]
        self._last = words[_HEADER : _HEADER + SLOTS * places]
        self._alive = words[_HEADER + SLOTS * places :]
        self.places = places

    def next_token(self, slot: int) -> int:
        """A number that this slot has never used, whoever fills it."""
        self._header[slot] += 1
        return self._header[slot]

    @property
    def written(self) -> int:
        """About how many tokens were written."""
        return sum(self._header[:SLOTS])

    @property
    def used(self) -> int:
        """How many places have ever had a user."""
        return self._header[_USED]

    @used.setter
    def used(self, count: int) -> None:
        self._header[_USED] = count

    @property
    def epoch(self) -> Epoch:
        """Which releases run; the conductor turns it, but for RETURNED, which a flipper tells."""
        return Epoch(self._header[_EPOCH])

    @epoch.setter
    def epoch(self, epoch: Epoch) -> None:
        self._header[_EPOCH] = epoch

    @property
    def held(self) -> int | None:
        """The place of a user whose row somebody holds who writes no preferences."""
        return self._header[_HELD] - 1 if self._header[_HELD] else None

    @held.setter
    def held(self, place: int | None) -> None:
        self._header[_HELD] = 0 if place is None else place + 1

    @property
    def wanted(self) -> bool:
        """Whether the flipper wants somebody to hold a row while it flips."""
        return bool(self._header[_WANTED])

    @wanted.setter
    def wanted(self, wanted: bool) -> None:
        self._header[_WANTED] = wanted

    @property
    def waits(self) -> bool:
        """Whether a write waits for the row that is held."""
        return bool(self._header[_WAITS])

    @waits.setter
    def waits(self, waits: bool) -> None:
        self._header[_WAITS] = waits

    @property
    def passes(self) -> int:
        """How often the flipper has caught up and verified."""
        return self._header[_PASSES]

    @passes.setter
    def passes(self, passes: int) -> None:
        self._header[_PASSES] = passes

    @property
    def raises(self) -> bool:
        """Whether the flipper is just raising the canary."""
        return bool(self._header[_RAISES])

    @raises.setter
    def raises(self, raises: bool) -> None:
        self._header[_RAISES] = raises

    def acknowledged(self, slot: int, place: int, token: int) -> None:
        """From now on every read must see this token."""
        self._last[slot * self.places + place] = token

    def seen_by_all(self, place: int) -> list[int]:
        """The last acknowledged token of each slot for a user; 0 where there is none."""
        return [self._last[slot * self.places + place] for slot in range(SLOTS)]

    def is_alive(self, place: int) -> bool:
        """Whether the user is there and nobody is about to delete them."""
        return bool(self._alive[place])

    def gone(self) -> set[int]:
        """The places whose user was deleted, or is about to be."""
        return {place for place in range(self.used) if not self.is_alive(place)}

    def population(self) -> int:
        """How many users are there."""
        return sum(self._alive[: self.used])

    def set_alive(self, place: int, alive: bool) -> None:
        """Say so before a user is deleted, and after one was created."""
        self._alive[place] = int(alive)

"""The ledger of one client: what it meant to write, what was acknowledged, and what it read.

One record is one write to a file that is only appended to, so a client that is killed leaves
whole records. An intention without an end is in doubt: its token may be stored or not.
"""

from __future__ import annotations

import enum
import os
import struct
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

# Two of them for most tokens: what was meant, and what became of it.
RECORD_BYTES = 20
# The slot of no client: the harness reads too, while a run goes on.
HARNESS = 255
_RECORD = struct.Struct("<dBBHII")


class Kind(enum.IntEnum):
    """What a record says: of a token, or of a document that was READ with all that was due."""

    INTENDED = 1
    ACKNOWLEDGED = 2
    UNDONE = 3
    READ = 4
    MISSED = 5


@dataclass(frozen=True)
class Entry:
    """One record: when (seconds of the epoch), the token and its client's slot, whose document.

    READ has no token, and the slot of the reader. Of a read the time is that of its beginning.
    """

    seconds: float
    kind: Kind
    slot: int
    place: int
    token: int
    reader: int = 0


class Ledger:
    """The ledger that one process adds to."""

    def __init__(self, folder: Path, slot: int) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._file = os.open(folder / f"{slot}.ledger", flags, 0o600)
        self._slot = slot

    def add(self, kind: Kind, place: int, token: int) -> None:
        """Add one record of a token of this client's."""
        self._write(time.time(), kind, self._slot, place, token)

    def read(self, began: float, place: int, missed: Collection[tuple[int, int]]) -> None:
        """Record a read that began at that time, and the tokens (slot, token) it had to show."""
        for slot, token in missed:
            self._write(began, Kind.MISSED, slot, place, token)
        if not missed:
            self._write(began, Kind.READ, self._slot, place, 0)

    def _write(self, seconds: float, kind: Kind, slot: int, place: int, token: int) -> None:
        os.write(self._file, _RECORD.pack(seconds, kind, slot, self._slot, place, token))


def entries(folder: Path) -> Iterator[Entry]:
    """Every record of every client, each client's in their order."""
    for path in sorted(folder.glob("*.ledger")):
        content = path.read_bytes()
        # A client may be writing.
        whole = content[: len(content) // RECORD_BYTES * RECORD_BYTES]
        for seconds, kind, slot, reader, place, token in _RECORD.iter_unpack(whole):
            yield Entry(seconds, Kind(kind), slot, place, token, reader)

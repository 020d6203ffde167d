"""The ledger of one client: what it meant to write, and what was acknowledged.

One record is one write to a file that is only appended to, so a client that is killed leaves
whole records. An intention without an end is in doubt: its token may be stored or not.
"""

from __future__ import annotations

import enum
import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Two of them for most tokens: what was meant, and what became of it.
RECORD_BYTES = 20
_RECORD = struct.Struct("<dBBHII")


class Kind(enum.IntEnum):
    """What a record says of a token."""

    INTENDED = 1
    ACKNOWLEDGED = 2
    UNDONE = 3


@dataclass(frozen=True)
class Entry:
    """One record: when (seconds of the epoch), the client's slot, the user's place, the token."""

    seconds: float
    kind: Kind
    slot: int
    place: int
    token: int


class Ledger:
    """The ledger that one process adds to."""

    def __init__(self, folder: Path, slot: int) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._file = os.open(folder / f"{slot}.ledger", flags, 0o600)
        self._slot = slot

    def add(self, kind: Kind, place: int, token: int) -> None:
        """Add one record."""
        record = _RECORD.pack(time.time(), kind, self._slot, 0, place, token)
        os.write(self._file, record)


def entries(folder: Path) -> Iterator[Entry]:
    """Every record of every client, each client's in their order."""
    for path in sorted(folder.glob("*.ledger")):
        for seconds, kind, slot, _, place, token in _RECORD.iter_unpack(path.read_bytes()):
            yield Entry(seconds, Kind(kind), slot, place, token)

"""File locks: one starter at a time, and who still uses the server.

A lock belongs to an open file: it ends with the last process that has it open, however that
process ends. A forked child inherits its parent's hold; a spawned one takes its own.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_held: dict[Path, int] = {}


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Wait for the lock on `path` and hold it for the block."""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        # Unlocked by name: closing is not enough where another thread has forked meanwhile.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


@contextmanager
def unused(path: Path) -> Iterator[bool]:
    """Hold the lock on `path` alone for the block, if nobody uses it.

    Yields:
        Whether the lock was free. This process's own hold counts as a use.
    """
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def hold(path: Path) -> None:
    """Use `path`, for the rest of this process's life."""
    if path not in _held:
        descriptor = _open(path)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        _held[path] = descriptor


def release(path: Path) -> None:
    """Stop using `path` in this process; children forked before keep their hold."""
    if path in _held:
        os.close(_held.pop(path))


def users(path: Path) -> list[int]:
    """List the processes that use `path`, as far as the system tells (Linux does)."""
    try:
        inode = path.stat().st_ino
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    # "1: FLOCK  ADVISORY  READ 4321 fe:00:1234567 0 EOF"; a waiting one has "->" second.
    fields = [line.split() for line in lines]
    return sorted(
        int(field[4])
        for field in fields
        if field[1:4] == ["FLOCK", "ADVISORY", "READ"] and field[5].endswith(f":{inode}")
    )

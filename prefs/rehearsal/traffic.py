"""The client processes of a rehearsal: which users each gets, start, stop, their records."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from django.db import connections

from prefs.errors import Mistake, PrefsError
from prefs.rehearsal.client import Specification
from prefs.rehearsal.record import Record
from prefs.rehearsal.scratch import ALIAS
from prefs.sql.asking import one, rows
from prefs.sql.names import names

_RATE = 40.0
_OWNED = 100
_SHARED = 200
_COLD = 5_000


class ClientFailed(PrefsError):
    """A client process that ended by itself: what it knew is lost, and so is the proof."""

    def __init__(self, client: int, status: int, log: str) -> None:
        super().__init__(f"Client {client} ended with status {status}: {log.strip()[-500:]}")


@dataclass(kw_only=True)
class Traffic:
    """The running clients, and where they keep their records."""

    folder: Path
    written: list[str] = field(default_factory=list)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def check(self) -> None:
        """Raise ClientFailed if a client is not running any more."""
        for number, process in enumerate(self.processes):
            if process.poll() is not None:
                raise ClientFailed(number, process.returncode, self._log(number))

    def has_begun(self) -> bool:
        """Whether every client has made its first requests."""
        return all((self.folder / f"{n}.begun").exists() for n in range(len(self.processes)))

    def stop(self) -> list[Record]:
        """End the clients, each after its request, and return their records."""
        self.check()
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for number, process in enumerate(self.processes):
            if process.wait(timeout=60) != 0:
                raise ClientFailed(number, process.returncode, self._log(number))
        count = range(len(self.processes))
        return [Record.load(self.folder / f"{number}.record") for number in count]

    def _log(self, number: int) -> str:
        return (self.folder / f"{number}.log").read_text()


@contextmanager
def traffic(folder: Path, database: str, clients: int) -> Iterator[Traffic]:
    """Start `clients` processes; none outlives this.

    Clients own users that nobody else writes, and share others; all else is only read.
    """
    users = _some_users(clients)
    shared = users[: min(_SHARED, len(users) // 3)]
    if not shared or len(users) - len(shared) < clients:
        raise Mistake(
            f"There are too few users for {clients} clients to write to: rehearse with at least"
            f" {10 * clients} users (--users N)."
        )
    running = Traffic(folder=folder, written=users)
    try:
        for number in range(clients):
            begin = len(shared) + number * (len(users) - len(shared)) // clients
            end = len(shared) + (number + 1) * (len(users) - len(shared)) // clients
            specification = Specification(
                client=number,
                alias=ALIAS,
                database=database,
                rate=_RATE,
                owned=users[begin:end],
                shared=shared,
                cold=_random_users("TRUE", _COLD),
            )
            running.processes.append(_start(specification, folder))
        yield running
    finally:
        for process in running.processes:
            process.kill()
            process.wait()


def _start(specification: Specification, folder: Path) -> subprocess.Popen[bytes]:
    path = folder / f"{specification.client}.json"
    path.write_text(json.dumps(asdict(specification)))
    with path.with_suffix(".log").open("wb") as log:
        command = [sys.executable, "-m", "prefs.rehearsal.client", str(path)]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _random_users(condition: str, limit: int) -> list[str]:
    n = names()
    chosen = f"SELECT u.{n.key}::text FROM {n.users} u WHERE {condition}"
    found = rows(connections[ALIAS], f"{chosen} ORDER BY random() LIMIT %s", [limit])
    return [key for (key,) in found]


def _some_users(clients: int) -> list[str]:
    # Half of the users at most are written, so that there are some nobody wrote to. A
    # client decodes what it writes, so its users have documents that Python can decode.
    n = names()
    half = one(connections[ALIAS], f"SELECT count(*) FROM {n.users}")[0] // 2
    plain = f"jsonb_typeof(u.{n.blob}) = 'object' AND pg_column_size(u.{n.blob}) < 2000"
    plain += f" AND NOT u.{n.blob} ? 'notes'"
    return _random_users(plain, min(half, _SHARED + clients * _OWNED))

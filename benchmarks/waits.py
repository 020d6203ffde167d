"""How long statements of live traffic wait for locks that sessions of ours hold."""

from __future__ import annotations

import threading
from datetime import datetime
from types import TracebackType
from typing import Self

from benchmarks.databases import Databases
from benchmarks.traffic import APPLICATION
from prefs.conf import APPLICATION_NAME as PREFIX

_EVERY = 0.004

# The time, and who waits now and since when for a session that is not of the live traffic.
_WAITING = f"""SELECT clock_timestamp(), w.pid, w.waitstart FROM (SELECT) one
  LEFT JOIN (SELECT l.pid, l.waitstart FROM pg_locks l
    JOIN pg_stat_activity a ON a.pid = l.pid AND a.application_name = '{APPLICATION}'
    WHERE NOT l.granted AND l.waitstart IS NOT NULL AND EXISTS (
      SELECT FROM unnest(pg_blocking_pids(l.pid)) b(pid)
      JOIN pg_stat_activity s ON s.pid = b.pid AND s.application_name <> '{APPLICATION}'
        AND s.application_name ^@ '{PREFIX}')) w ON TRUE"""


class Waits:
    """Looks every few milliseconds, from a session of its own, while the block runs.

    A wait ends between two looks; it is taken to have lasted until the second.
    """

    def __init__(self, databases: Databases, database: str) -> None:
        self._session = databases.connect(database)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.longest = 0.0
        self.seen = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._session.close()

    def _watch(self) -> None:
        before: set[tuple[int, datetime]] = set()
        while not self._stopping.wait(_EVERY):
            rows = self._session.execute(_WAITING.encode()).fetchall()
            now, waiting = rows[0][0], {(pid, since) for _, pid, since in rows if pid is not None}
            self.seen += len(waiting - before)
            for _, since in before | waiting:
                self.longest = max(self.longest, (now - since).total_seconds() * 1000)
            before = waiting

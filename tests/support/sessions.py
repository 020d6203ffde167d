"""A second connection, step by step: its statements run in a thread of their own.

That one session waits for another is read from the lock manager, never guessed from time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import connection, transaction

from prefs.models import UserPreferences
from tests.support.stores import query

PATIENCE = 20.0
T = TypeVar("T")

FIRST = {"first": 1, "theme": "dark", "notifications": {"email": {"marketing": True}}}
SECOND = {"second": 2, "language": "de", "notifications": {"push": {"mentions": True}}}
BOTH = {
    **FIRST,
    **SECOND,
    "notifications": {"email": {"marketing": True}, "push": {"mentions": True}},
}


class Session:
    """A connection in a thread: Django gives each thread its own."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self._thread = thread
        self.pid: int = self.run(lambda: query("SELECT pg_backend_pid()"))[0][0]

    def start(self, work: Callable[[], T]) -> Future[T]:
        """Begin `work` in the session and do not wait for it."""
        return self._thread.submit(work)

    def run(self, work: Callable[[], T]) -> T:
        """Do `work` in the session."""
        return self.start(work).result(PATIENCE)


def _close() -> None:
    # Looked up in the thread, where `connection` is another one.
    connection.close()


@contextmanager
def second_session() -> Iterator[Session]:
    """Another session, closed afterwards."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        try:
            yield Session(thread)
        finally:
            thread.submit(_close).result(PATIENCE)


def waits_behind_us(session: Session, begun: Future[Any]) -> bool:
    """Whether the session comes to wait for a lock of ours; False once `begun` went through."""
    deadline = time.monotonic() + PATIENCE
    while not begun.done():
        assert time.monotonic() < deadline, "the session neither waits for us nor ends"
        if query("SELECT pg_backend_pid() = ANY(pg_blocking_pids(%s))", [session.pid])[0][0]:
            return True
        time.sleep(0.005)
    return False


def merge_behind_another(user: int) -> bool:
    """Merge FIRST and hold it; merge SECOND from another session meanwhile; then commit.

    Whether the second waited for the first.
    """
    with second_session() as session:
        with transaction.atomic():
            UserPreferences.objects.merge(user, FIRST)
            second = session.start(lambda: UserPreferences.objects.merge(user, SECOND))
            waited = waits_behind_us(session, second)
        second.result(PATIENCE)
    return waited

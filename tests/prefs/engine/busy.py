"""A database that is busy: sessions that wait for locks, and sessions at work."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import psycopg

from tests.support import scratch
from tests.support.steps import add_users, in_thread, until, value

WORKER = "prefs worker"


class Waiting:
    """Sessions that wait for a row each, and can be called away one by one."""

    def __init__(self) -> None:
        self._left: list[Callable[[], None]] = []

    def begin(self, session: scratch.Session, user: int) -> None:
        """Have a session wait for the row of a user."""
        touch = "UPDATE accounts_user SET is_staff = true WHERE id = %s"
        future = in_thread(lambda: session.execute(touch, [user]))

        def call_away() -> None:
            session.cancel()
            assert isinstance(future.exception(10), psycopg.errors.QueryCanceled)

        self._left.append(call_away)

    def call_away(self, sessions: int) -> None:
        """Have so many of them wait no longer."""
        for _ in range(sessions):
            self._left.pop()()

    def end(self) -> None:
        """Have none of them wait any longer."""
        self.call_away(len(self._left))


@contextmanager
def waiting(site: str, sessions: int, holder: str = WORKER) -> Iterator[Waiting]:
    """So many sessions that wait for rows in the hand of a session of that name."""
    users, them = add_users(*[{"theme": "dark"}] * sessions), Waiting()
    with ExitStack() as stack:
        holding = stack.enter_context(scratch.connect(site, holder))
        holding.execute("BEGIN")
        holding.execute("SELECT FROM accounts_user WHERE id = ANY(%s) FOR NO KEY UPDATE", [users])
        for user in users:
            them.begin(stack.enter_context(scratch.connect(site, "web")), user)
        until(lambda: waiters() == sessions)
        try:
            yield them
        finally:
            them.end()


def waiters() -> int:
    """How many sessions of this site wait for a lock."""
    found: int = value(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return found


@contextmanager
def writing_all_the_time(site: str, clients: int, seconds: tuple[float, float]) -> Iterator[None]:
    """So many clients whose transactions, of so many seconds, hold users one after the other."""
    users, over = add_users(*[{"theme": "dark"}] * clients), threading.Event()

    def write(user: int) -> None:
        drawn = random.Random(user)
        with scratch.connect(site, "web") as session:
            while not over.is_set():
                with session.transaction():
                    touch = "UPDATE accounts_user SET last_name = 'x' WHERE id = %s"
                    session.execute(touch, [user])
                    session.execute("SELECT pg_sleep(%s)", [drawn.uniform(*seconds)])

    futures = [in_thread(partial(write, user)) for user in users]
    try:
        held = "SELECT count(DISTINCT pid) FROM pg_locks WHERE relation = 'accounts_user'::regclass"
        until(lambda: value(held + " AND mode = 'RowExclusiveLock'") == clients)
        yield
    finally:
        over.set()
        for future in futures:
            future.result(30)


@contextmanager
def asleep(site: str, sessions: int, application: str = "web") -> Iterator[None]:
    """So many sessions at work on a statement."""
    with ExitStack() as stack:
        open_ = [stack.enter_context(scratch.connect(site, application)) for _ in range(sessions)]
        futures = [in_thread(partial(each.execute, "SELECT pg_sleep(60)")) for each in open_]
        until(
            lambda: (
                value(
                    "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
                    " AND datname = current_database() AND query LIKE 'SELECT pg_sleep%'"
                )
                == sessions
            )
        )
        yield
        for session, future in zip(open_, futures, strict=True):
            session.cancel()
            future.exception(10)

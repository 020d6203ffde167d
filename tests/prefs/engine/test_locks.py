"""Each statement that locks users, by itself: whom it waits for, who for it, in which order.

What holds two of them together holds by the locks of both, so either could be lost unseen if only
the two were tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.db.transaction import atomic

from prefs.sql import copying, writes
from prefs.sql.places import placed
from tests.support import scratch
from tests.support.scratch import Session
from tests.support.steps import (
    add_users,
    copy_all,
    in_thread,
    rows,
    until,
    value,
    waiting_for_locks,
)

# Each with what it takes for some users; the first can lock but one.
LOCKING = {
    "a write's lock": lambda users: (writes.lock(), {"user": users[0]}),
    "background work's lock": lambda users: (copying.lock_users(), {"ids": users}),
    "overwriting the tables": lambda users: (copying.overwrite_tables(), {"ids": users}),
}
OF_SEVERAL = list(LOCKING)[1:]
_NOT_OBTAINED = psycopg.errors.LockNotAvailable


def execute(statement: str, parameters: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


@contextmanager
def transaction(database: str) -> Iterator[Session]:
    """A session in a transaction that waits for no lock."""
    with scratch.connect(database) as session:
        session.execute("BEGIN")
        session.execute("SET LOCAL lock_timeout = '50ms'")
        yield session


def run(session: Session, name: str, users: list[int]) -> None:
    statement, parameters = LOCKING[name](users)
    session.execute(placed(statement, connection).encode(), parameters)


def can_lock(database: str, user: int, strength: str) -> bool:
    with transaction(database) as session:
        try:
            session.execute(f"SELECT FROM accounts_user WHERE id = {user} FOR {strength}".encode())
        except _NOT_OBTAINED:
            return False
        return True


@pytest.mark.parametrize("name", LOCKING)
def test_it_waits_for_whoever_writes_the_user_and_for_its_like(site: str, name: str) -> None:
    """Case B19: `lock_users` without a lock was seen by the harness alone."""
    [user] = add_users({"theme": "dark"})
    for other in (
        lambda session: run(session, name, [user]),
        lambda session: session.execute(
            f"UPDATE accounts_user SET last_name = 'x' WHERE id = {user}".encode()
        ),
    ):
        with transaction(site) as first, transaction(site) as second:
            other(first)
            with pytest.raises(_NOT_OBTAINED):
                run(second, name, [user])


@pytest.mark.parametrize("name", LOCKING)
def test_no_check_of_a_foreign_key_waits_for_it_and_every_writer_does(site: str, name: str) -> None:
    [user] = add_users({"theme": "dark"})
    with transaction(site) as session:
        run(session, name, [user])
        assert can_lock(site, user, "KEY SHARE")
        assert not can_lock(site, user, "SHARE")
        assert not can_lock(site, user, "NO KEY UPDATE")


@pytest.mark.parametrize("name", LOCKING)
def test_it_locks_no_other_user_and_no_switch(site: str, name: str) -> None:
    user, other = add_users({}, {})
    with transaction(site) as session, transaction(site) as another:
        run(session, name, [user])
        run(another, name, [other])
        with atomic():
            rows("SET LOCAL lock_timeout = '50ms'")
            rows("SELECT FROM waffle_switch FOR UPDATE")


@pytest.mark.parametrize("name", OF_SEVERAL)
def test_users_are_locked_in_the_order_of_their_keys_wherever_their_rows_are(
    site: str, name: str
) -> None:
    first, middle, last = users = add_users({}, {}, {})
    # Its row is the last of the table now; a scan of the table would come to it last.
    rows("UPDATE accounts_user SET last_name = 'moved' WHERE id = %s", first)
    with transaction(site) as holder:
        run(holder, name, [middle])
        locking = in_thread(lambda: lock_by_a_scan(name, users[::-1]))
        until(lambda: waiting_for_locks() == 1)
        assert not can_lock(site, first, "NO KEY UPDATE")
        assert can_lock(site, last, "NO KEY UPDATE")
    locking.result(10)


def lock_by_a_scan(name: str, users: list[int]) -> None:
    with atomic():
        rows("SET LOCAL enable_indexscan = off")
        rows("SET LOCAL enable_bitmapscan = off")
        execute(*LOCKING[name](users))


def test_overwriting_takes_the_blob_that_it_waited_for(site: str) -> None:
    """One statement: the lock returns the row that it locked, not that of its snapshot."""
    [user] = add_users({"theme": "dark"})
    copy_all()
    assert overwritten_behind(site, user, copying.overwrite_tables()) == "light"


def test_without_its_lock_it_would_take_an_older_one(site: str) -> None:
    [user] = add_users({"theme": "dark"})
    copy_all()
    unlocked = copying.overwrite_tables().replace("FOR NO KEY UPDATE OF u", "")
    assert overwritten_behind(site, user, unlocked) == "dark"


def overwritten_behind(database: str, user: int, statement: str) -> Any:
    """The theme of a typed row that is overwritten while a write of the blob is open."""
    with scratch.connect(database) as writer:
        writer.execute("BEGIN")
        writer.execute(
            'UPDATE accounts_user SET preferences = \'{"theme": "light"}\' WHERE id = %s', [user]
        )
        overwriting = in_thread(lambda: execute(statement, {"ids": [user]}))
        until(lambda: waiting_for_locks() == 1 or overwriting.done())
        writer.execute("COMMIT")
    overwriting.result(10)
    return value("SELECT theme FROM user_preferences")

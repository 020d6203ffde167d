"""A write in a transaction that holds locks already, or meets those of another caller."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection, transaction

from prefs.ddl import sqlstate
from prefs.models import UserPreferences
from tests.prefs.callers.writing import every_write
from tests.support import stores
from tests.support.sessions import PATIENCE, Session, second_session, waits_behind_us
from tests.support.stores import Place, query

BEFORE = {"theme": "light", "items_per_page": 10}
# It changes a row of both tables: one that stays as it is waits for nobody.
LATE = {"late": 1, "notifications": {"email": {"digest": "daily"}}}

Lock = Callable[[int], object]


def a_user(place: Place) -> int:
    return stores.insert_user(place, json.dumps(BEFORE))


def document(user: int) -> Any:
    return UserPreferences.objects.document(user)


def lock_user(user: int, *, no_key: bool = False) -> None:
    get_user_model()._default_manager.select_for_update(no_key=no_key).get(pk=user)


def lock_row(table: str, user: int) -> None:
    query(f"SELECT user_id FROM {table} WHERE user_id = %s FOR UPDATE", [user])


def log_of(user: int) -> None:
    """A row that refers to the user: its foreign key locks theirs, FOR KEY SHARE, at once."""
    query("SET CONSTRAINTS ALL IMMEDIATE")
    query(
        "INSERT INTO django_admin_log (action_time, object_repr, action_flag, change_message,"
        " user_id) VALUES (now(), '', 1, '', %s)",
        [user],
    )


@pytest.fixture(autouse=True)
def _log_emptied(site: str) -> Iterator[None]:
    """The next test's users are deleted by the database, which does not cascade to the log."""
    yield
    query("DELETE FROM django_admin_log")


USERS_LOCKS: dict[str, Lock] = {
    "the user": lock_user,
    "the user, not their key": partial(lock_user, no_key=True),
}
LOCKS: dict[str, Lock] = {
    **USERS_LOCKS,
    "a row that refers to the user": log_of,
    "their row of preferences": partial(lock_row, "user_preferences"),
    "their row of notifications": partial(lock_row, "notification_preferences"),
    "the users": lambda _: query("LOCK TABLE accounts_user IN SHARE ROW EXCLUSIVE MODE"),
    "the rows": lambda _: query("LOCK TABLE user_preferences IN EXCLUSIVE MODE"),
}


@every_write
def test_the_caller_may_hold_the_locks_that_the_write_needs(place: Place, write: Any) -> None:
    user, other = a_user(place), a_user(place)
    for number, lock in enumerate(LOCKS.values()):
        with transaction.atomic():
            lock(other)
            lock(user)
            write(user, {"number": number})
        assert document(user) == {**BEFORE, "number": number}
    assert document(other) == BEFORE


@every_write
@pytest.mark.parametrize("held", [name for name in LOCKS if "refers" not in name])
def test_a_write_waits_for_another_caller_s_lock_and_builds_on_what_they_wrote(
    site: str, held: str, write: Any
) -> None:
    stores.enter(Place.TABLES_MIRRORED)
    user, has_user = a_user(Place.TABLES_MIRRORED), held in USERS_LOCKS
    with second_session() as session:
        with transaction.atomic():
            LOCKS[held](user)
            waiting = session.start(partial(UserPreferences.objects.merge, user, LATE))
            assert waits_behind_us(session, waiting)
            # Behind another lock they hold the user's already, and we must not come for it.
            if has_user:
                write(user, {"early": 1})
        waiting.result(PATIENCE)
    early = {"early": 1} if has_user else {}
    assert document(user) == {**BEFORE, **early, **LATE}
    assert not stores.differ(user)


@every_write
def test_two_callers_that_refer_to_one_user_both_write(place: Place, write: Any) -> None:
    """Both hold FOR KEY SHARE, which FOR UPDATE in the write would turn into a deadlock."""
    user = a_user(place)
    with second_session() as session, transaction.atomic():
        log_of(user)
        session.run(partial(log_and_write, user, write, {"theirs": 1}))
        write(user, {"ours": 1})
    assert document(user) == {**BEFORE, "theirs": 1, "ours": 1}


def log_and_write(user: int, write: Any, patch: dict[str, Any]) -> None:
    with transaction.atomic():
        log_of(user)
        write(user, patch)


def cross(write: Any, first: int, second: int, session: Session) -> Future[Any]:
    """Hold `second` in the session, have it wait for `first`, which we hold."""

    def theirs() -> str:
        with transaction.atomic():
            query("SET LOCAL deadlock_timeout = '10s'")
            write(second, {"theirs": 1})
            held.set_result(None)
            write(first, {"theirs": 2})
        return "committed"

    held: Future[None] = Future()
    begun: Future[Any] = session.start(theirs)
    held.result(PATIENCE)
    assert waits_behind_us(session, begun)
    return begun


@every_write
def test_of_two_callers_in_opposite_order_one_loses_and_can_go_on(place: Place, write: Any) -> None:
    """The order of a caller's users is the caller's; who loses is told, and keeps the rest."""
    first, second, third = (a_user(place) for _ in range(3))
    with second_session() as session:
        with transaction.atomic():
            query("SET LOCAL deadlock_timeout = '20ms'")
            write(first, {"ours": 1})
            theirs = cross(write, first, second, session)
            with pytest.raises(OperationalError) as lost:
                write(second, {"ours": 2})
            assert sqlstate(lost.value) == "40P01"
            assert document(first) == {**BEFORE, "ours": 1}
            write(third, {"ours": 3})
        assert theirs.result(PATIENCE) == "committed"
    assert document(first) == {**BEFORE, "ours": 1, "theirs": 2}
    assert document(second) == {**BEFORE, "theirs": 1}
    assert document(third) == {**BEFORE, "ours": 3}
    assert not connection.in_atomic_block


@every_write
def test_who_lost_may_roll_back_and_begin_again(place: Place, write: Any) -> None:
    first, second = a_user(place), a_user(place)
    with second_session() as session:
        with pytest.raises(OperationalError, match="deadlock"):
            lose(write, first, second, session)
        # What it was doing is at its end when it does the next thing.
        session.run(lambda: None)
        with transaction.atomic():
            write(first, {"ours": 1})
            write(second, {"ours": 2})
    assert document(first) == {**BEFORE, "ours": 1, "theirs": 2}
    assert document(second) == {**BEFORE, "ours": 2, "theirs": 1}


def lose(write: Any, first: int, second: int, session: Session) -> None:
    with transaction.atomic():
        query("SET LOCAL deadlock_timeout = '20ms'")
        write(first, {"ours": 1})
        cross(write, first, second, session)
        write(second, {"ours": 2})

"""The drain waits for everyone who may be writing by the route of before, and for nobody else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from django.db import connection, transaction

from prefs.engine import flips, transitions
from prefs.engine.batches import Control
from prefs.engine.repair import Direction
from prefs.engine.states import Gate, State
from prefs.models import Transition, UserPreferences
from prefs.sql import catalog
from tests.prefs.interleavings.broken_engine import on_users_alone
from tests.support import scratch
from tests.support.needs import PREPARED_TRANSACTIONS, needs
from tests.support.refusals import finding
from tests.support.steps import (
    ALIAS,
    SOON,
    add_users,
    copy_all,
    differences,
    go,
    held_open,
    in_thread,
    rows,
    run_once,
    set_blob,
    state,
    take,
    until,
    value,
    verify_all,
)


def flipping(target: State = State.DUAL_WRITE, **control: Any) -> Future[Transition | None]:
    """Take a transition in a thread; returns once its switch is turned."""
    future = in_thread(lambda: take(target, SOON, Control(**control)))
    until(lambda: Transition.objects.filter(to_state=target).exists())
    return future


def still_drains(future: Future[Any]) -> bool:
    """Whether it goes on for several looks of the drain."""
    threading.Event().wait(0.12)
    open_ = Transition.objects.order_by("-id").values_list("settled_at", flat=True)[0] is None
    return open_ and not future.done()


def replace(user: int, document: object) -> Callable[[], object]:
    return lambda: UserPreferences.objects.replace(user, document)


def test_it_waits_for_a_manager_s_write_by_the_old_route(site: str) -> None:
    [user] = add_users({"theme": "dark"})
    with held_open(replace(user, {"theme": "light"})):
        future = flipping()
        assert state() is State.DUAL_WRITE
        assert still_drains(future)
    taken = future.result(5)
    assert taken is not None
    assert taken.settled_at is not None
    assert taken.figures["seconds"] >= 0.1


def test_it_waits_for_somebody_else_s_write_of_the_blob(site: str) -> None:
    """The capture trigger reads the switches for whoever knows nothing of them."""
    [user] = add_users({"theme": "dark"})
    with held_open(lambda: set_blob(user, {"theme": "light"})):
        future = flipping()
        assert still_drains(future)
    assert future.result(5)
    assert differences() == [user]


def test_it_waits_for_a_copying_transaction(site: str) -> None:
    add_users({"theme": "dark"})
    copying = held_open(copy_statement)
    with copying:
        future = flipping()
        assert still_drains(future)
    assert future.result(5)


def copy_statement() -> None:
    from prefs.sql.copying import copy_missing

    with connection.cursor() as cursor:
        cursor.execute(copy_missing(), {"after": None, "upto": 10**9})
        assert cursor.fetchone() == (1, 1, False, False)


@needs(PREPARED_TRANSACTIONS)
def test_it_waits_for_a_prepared_transaction(site: str) -> None:
    [user] = add_users({"theme": "dark"})
    with scratch.connect(site) as session:
        session.execute("BEGIN")
        session.execute("SELECT active FROM waffle_switch")
        session.execute("UPDATE accounts_user SET preferences = '{}' WHERE id = %s", [user])
        session.execute("PREPARE TRANSACTION 'prefs'")
    told: list[str] = []
    future = flipping(notice=told.append)
    try:
        assert still_drains(future)
    finally:
        rows("COMMIT PREPARED 'prefs'")
    assert future.result(5)
    assert differences() == [user]


BYSTANDERS = {
    "a reader": ["SELECT active FROM waffle_switch", "SELECT preferences FROM accounts_user"],
    "a dump": [
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "LOCK TABLE accounts_user, user_preferences, waffle_switch IN ACCESS SHARE MODE",
    ],
    "a writer of other tables": [
        "SELECT active FROM waffle_switch",
        "INSERT INTO django_content_type (app_label, model) VALUES ('a', 'b')",
    ],
    "a writer of users who leaves the blob alone": [
        "UPDATE accounts_user SET is_staff = true, preferences = preferences"
    ],
    "somebody idle in a transaction": ["SELECT 1"],
}


@pytest.mark.parametrize("who", BYSTANDERS)
def test_it_waits_for_no_bystander(site: str, who: str) -> None:
    add_users({"theme": "dark"})
    with scratch.connect(site) as session, scratch.connect(site):
        session.execute("BEGIN")
        for statement in BYSTANDERS[who]:
            session.execute(statement.encode())
        taken = flipping().result(5)
        session.execute("ROLLBACK")
    assert taken is not None
    assert taken.figures["seconds"] < 1


def test_it_waits_for_nobody_who_came_after_the_flip(site: str) -> None:
    early, late = add_users({}, {})
    with held_open(replace(early, {"theme": "light"})):
        future = flipping()
        with held_open(replace(late, {"theme": "light"})):
            pass
        after = held_open(replace(late, {"theme": "dark"}))
        after.__enter__()
    try:
        assert future.result(5)
    finally:
        after.__exit__(None, None, None)


def test_no_writer_waits_for_it(site: str) -> None:
    early, other = add_users({}, {})
    with held_open(replace(early, {"theme": "light"})):
        future = flipping()
        with transaction.atomic():
            rows("SET LOCAL lock_timeout = '1ms'")
            UserPreferences.objects.replace(other, {"theme": "dark"})
            UserPreferences.objects.merge(other, {"compact_mode": True})
        assert not future.done()
    future.result(5)
    assert value("SELECT theme FROM user_preferences WHERE user_id = %s", other) == "dark"


def test_stopping_it_leaves_the_transition_open(site: str) -> None:
    [user] = add_users({"theme": "dark"})
    with held_open(replace(user, {"theme": "light"})):
        taken = take(State.DUAL_WRITE, SOON, Control(stopped=lambda: True))
        assert taken is not None
        assert taken.settled_at is None
        assert finding(Gate.VERIFIED, State.READ_CUTOVER).met is False
        assert state() is State.DUAL_WRITE
    resumed = take(None)
    assert resumed is not None
    assert (resumed.pk, resumed.settled_at is None) == (taken.pk, False)


def test_it_says_whom_it_waits_for(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flips, "_NOTICE_EVERY", 0.0)
    [user] = add_users({"theme": "dark"})
    told: list[str] = []
    with held_open(replace(user, {"theme": "light"})):
        future = flipping(notice=told.append)
        until(lambda: bool(told))
    future.result(5)
    assert told[0].startswith("draining; waiting for pid ")
    assert "(prefs, idle in transaction, " in told[0]


def lose_a_write(user: int) -> None:
    """A writer of the old route, overtaken by the flip and by the verification after it."""
    copy_all()
    with held_open(replace(user, {"theme": "light"})):
        flipping().result(5)
        assert verify_all().differing == 0


def test_a_drain_that_did_not_wait_would_lose_a_write(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [user] = add_users({"theme": "dark"})
    monkeypatch.setattr(flips, "drain", lambda *_: True)
    lose_a_write(user)
    assert differences() == [user]
    take(State.READ_CUTOVER)
    assert UserPreferences.objects.document(user) == {"theme": "dark"}


def test_the_drain_keeps_that_write(site: str) -> None:
    [user] = add_users({"theme": "dark"})
    copy_all()
    with held_open(replace(user, {"theme": "light"})):
        flipping_ = flipping(stopped=lambda: True)
        flipping_.result(5)
        verification = in_thread(verify_all)
        threading.Event().wait(0.1)
        assert not verification.done()
    assert verification.result(5).differing == 1
    with pytest.raises(Exception, match="found 1 users whose stores differ"):
        take(State.READ_CUTOVER)
    assert UserPreferences.objects.document(user) == {"theme": "light"}


# Raw writes of the two typed tables, and what a document then reads.
RAW_ROWS = {
    "user_preferences": ("theme = 'light'", {"theme": "light"}),
    "notification_preferences": (
        "email_digest = 'weekly'",
        {"theme": "dark", "notifications": {"email": {"digest": "weekly"}}},
    ),
}


def return_twice() -> None:
    """From where the tables alone are written to where the blob is read."""
    take(State.READ_CUTOVER, forward=False)
    run_once(Direction.REVERSE)
    assert verify_all().differing == 0
    take(State.DUAL_WRITE, forward=False)


def in_mirror_off_with_a_raw_write(table: str) -> tuple[int, Callable[[], object]]:
    [user] = add_users({"theme": "dark"})
    go(State.MIRROR_OFF)
    update = f"UPDATE {table} SET {RAW_ROWS[table][0]} WHERE user_id = {user}"
    return user, lambda: rows(update)


@pytest.mark.parametrize("table", RAW_ROWS)
def test_two_returns_keep_a_raw_write_of_a_typed_row_that_was_open_all_the_time(
    site: str, table: str
) -> None:
    """Case B18: it locks the switches, by its guard, and its own table, but never users."""
    user, write = in_mirror_off_with_a_raw_write(table)
    with held_open(write):
        back = in_thread(return_twice)
        until(lambda: state() is State.READ_CUTOVER)
        assert still_drains(back)
    back.result(10)
    assert (state(), differences()) == (State.DUAL_WRITE, [])
    assert UserPreferences.objects.document(user) == RAW_ROWS[table][1]


@pytest.mark.parametrize("table", RAW_ROWS)
def test_a_drain_by_the_locks_on_users_alone_would_lose_that_write(
    site: str, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case B18: the statement as it was narrowed, without any other test to notice."""
    user, write = in_mirror_off_with_a_raw_write(table)
    narrowed = on_users_alone(catalog.writers())
    monkeypatch.setattr(catalog, "writers", lambda: narrowed)
    with held_open(write):
        return_twice()
    assert differences() == [user]
    assert UserPreferences.objects.document(user) == {"theme": "dark"}


def test_a_flip_that_was_committed_but_not_drained_is_drained_by_a_run(site: str) -> None:
    [user] = add_users({"theme": "dark"})
    go(State.DUAL_WRITE)
    with held_open(replace(user, {"theme": "light"})):
        take(State.EXPANDED, SOON, Control(stopped=lambda: True), forward=False)
        settling = in_thread(lambda: transitions.settle_open_flip(ALIAS, Control()))
        threading.Event().wait(0.1)
        assert not settling.done()
    settling.result(5)
    assert not Transition.objects.filter(settled_at=None).exists()

"""A backfill yields to whoever holds what it wants, and keeps to its rate."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection

from prefs.engine.backfill import backfill
from prefs.engine.batches import Control, LockUnavailable, Progress
from prefs.engine.repair import Direction
from prefs.engine.states import State
from prefs.models import Range, Run, UserPreferences
from prefs.sql import copying
from prefs.sql.places import placed
from tests.support import scratch
from tests.support.steps import (
    ALIAS,
    SOON,
    FakeClock,
    add_users,
    differences,
    held_open,
    in_thread,
    many_users,
    part_blob,
    patient,
    rows,
    run_once,
    take,
    value,
)

FORWARD = Direction.FORWARD


def test_a_user_deleted_under_the_copying_statement_is_tried_again(site: str) -> None:
    users = many_users(3)
    with scratch.connect(site) as session:
        session.execute("BEGIN")
        session.execute("DELETE FROM accounts_user WHERE id = %s", [users[1]])
        notes: list[str] = []

        def commit(progress: Progress) -> None:
            notes.append(progress.note)
            if progress.note:
                session.execute("COMMIT")

        run = run_once(progress=commit)
    assert run.retries >= 1
    assert value("SELECT count(*) FROM user_preferences") == 2


def test_a_locked_user_makes_it_yield_halve_and_try_again(site: str) -> None:
    users = many_users(20)
    notes: list[str] = []

    with scratch.connect(site) as session:
        session.execute("BEGIN")
        session.execute("SELECT FROM accounts_user WHERE id = %s FOR UPDATE", [users[0]])

        def told(progress: Progress) -> None:
            notes.append(progress.note)
            if progress.note.endswith("batch 1"):
                session.execute("COMMIT")

        run = run_once(batch_size=16, progress=told)
    yields = [note for note in notes if note]
    assert yields[:4] == [f"yielding to a lock, batch {size}" for size in (8, 4, 2, 1)]
    assert (run.status, run.retries, run.users, run.copied) == ("done", len(yields), 20, 20)
    assert differences() == []


@pytest.mark.parametrize("phase", [Run.Phase.COPY, Run.Phase.CATCH_UP])
def test_all_its_statements_run_under_a_lock_timeout_of_fifty_milliseconds(
    site: str, phase: Run.Phase
) -> None:
    [user] = add_users({"theme": "dark"})
    take(State.DUAL_WRITE)
    if phase is Run.Phase.CATCH_UP:
        run_once()
        part_blob(user, {"theme": "light"})
    limits: dict[str, str] = {}

    def watched(execute: Any, statement: str, parameters: Any, many: bool, context: Any) -> Any:
        session = context["connection"].connection
        limits[statement] = session.execute("SHOW lock_timeout").fetchone()[0]
        return execute(statement, parameters, many, context)

    with connection.execute_wrapper(watched):
        run_once()
    locking = {
        Run.Phase.COPY: [copying.copy_missing()],
        Run.Phase.CATCH_UP: [copying.lock_users(), copying.overwrite_tables()],
    }[phase]
    assert [limits[placed(each, connection)] for each in locking] == ["50ms"] * len(locking)


def test_a_statement_that_waits_is_ended_by_the_server_not_by_the_lock(site: str) -> None:
    [user] = add_users({"theme": "dark"})
    with scratch.connect(site) as session:
        session.execute("BEGIN")
        session.execute("SELECT FROM accounts_user WHERE id = %s FOR UPDATE", [user])
        with pytest.raises(LockUnavailable):
            backfill(ALIAS, FORWARD, patient(3), Control(clock=FakeClock()))


def test_a_user_who_takes_longer_than_a_time_limit_is_not_said_to_be_locked(site: str) -> None:
    many_users(3)
    rows(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN PERFORM pg_sleep(1); RETURN NEW; END$$"
    )
    rows(
        "CREATE TRIGGER slow BEFORE INSERT ON user_preferences FOR EACH ROW EXECUTE FUNCTION slow()"
    )
    rows("SET statement_timeout = '30ms'")
    try:
        with pytest.raises(LockUnavailable, match=r"canceled, for .* raise the statement_timeout"):
            backfill(ALIAS, FORWARD, patient(3), Control(clock=FakeClock()))
    finally:
        rows("RESET statement_timeout")


def test_a_row_that_stays_locked_stops_it_and_leaves_it_resumable(site: str) -> None:
    users = many_users(10)
    with scratch.connect(site) as session:
        session.execute("BEGIN")
        session.execute("SELECT FROM accounts_user WHERE id = %s FOR UPDATE", [users[7]])
        with pytest.raises(LockUnavailable, match=f"the user after key {users[6]} locked"):
            backfill(ALIAS, FORWARD, patient(0.3), Control(batch_size=5))
    failed = Run.objects.get()
    assert (failed.status, failed.users, failed.copied) == (Run.Status.FAILED, 7, 7)
    assert failed.error.startswith("LockUnavailable: ")
    resumed = run_once()
    assert (resumed.pk, resumed.status) == (failed.pk, Run.Status.DONE)
    assert (resumed.users, resumed.copied, resumed.error) == (10, 10, "")


def test_a_live_writer_never_waits_for_more_than_a_batch(site: str) -> None:
    [user] = add_users({"theme": "dark"})
    take(State.DUAL_WRITE)
    with held_open(lambda: UserPreferences.objects.replace(user, {"theme": "light"})):
        future = in_thread(lambda: backfill(ALIAS, FORWARD, patient(10), Control()))
    assert future.result(10).status == Run.Status.DONE
    assert UserPreferences.objects.document(user) == {"theme": "light"}
    assert differences() == []


def test_the_rate_is_kept(site: str) -> None:
    many_users(50)
    clock, moments = FakeClock(), [0.0]
    run_once(max_rate=10, clock=clock, progress=lambda _: moments.append(clock.slept))
    assert clock.slept == pytest.approx(5, abs=0.01)
    assert [round(b - a, 6) for a, b in pairwise(moments[1:])] == [1.0] * 4


def test_a_lease_is_renewed_with_every_batch(site: str) -> None:
    many_users(4)
    ends: list[object] = []
    settings = replace(SOON, lease=timedelta(seconds=9))
    control = Control(batch_size=1, progress=lambda _: ends.append(Range.objects.get().lease_until))
    backfill(ALIAS, FORWARD, settings, control)
    assert ends == sorted(set(ends), key=str)
    assert len(ends) == 4

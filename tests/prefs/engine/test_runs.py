"""One run of a kind at a time: its lease, its token, and what a late process may not do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from django.db import IntegrityError, connection

from prefs.engine.backfill import backfill
from prefs.engine.evidence import database_now
from prefs.engine.repair import Direction
from prefs.engine.runs import Control, LeaseLost, Progress, RunHeld, close, guarded, take, walk
from prefs.engine.states import State
from prefs.engine.verification import verify
from prefs.models import Run
from tests.prefs.engine import steps
from tests.prefs.engine.steps import (
    ALIAS,
    SOON,
    copy_all,
    differences,
    in_thread,
    many_users,
    rows,
    value,
    verify_all,
)

SHORT = replace(SOON, lease=timedelta(0))


def taken(settings: Any = SOON, since: Any = None) -> Run:
    return take(Run.Kind.BACKFILL, Run.Phase.COPY, ALIAS, settings, since=since)


def test_a_second_run_of_a_kind_is_refused_while_the_first_is_alive(site: str) -> None:
    many_users(1)
    first = taken()
    with pytest.raises(RunHeld, match=rf"{first} is held by pid \d+ on .* Its lease ends in 1\d s"):
        copy_all()
    assert value("SELECT count(*) FROM user_preferences") == 0
    assert Run.objects.count() == 1


def test_runs_of_two_kinds_do_not_hinder_each_other(site: str) -> None:
    taken()
    assert verify_all().status == Run.Status.DONE


def test_of_two_that_begin_at_once_one_is_refused(site: str) -> None:
    outcomes = [in_thread(taken) for _ in range(4)]
    errors = [future.exception(10) for future in outcomes]
    assert sum(error is None for error in errors) == 1
    assert all(isinstance(error, RunHeld) for error in errors if error)
    assert Run.objects.count() == 1


def test_two_open_runs_of_a_kind_cannot_even_be_stored(site: str) -> None:
    first = taken()
    with pytest.raises(IntegrityError, match="prefs_run_one_open_of_a_kind"):
        Run.objects.create(
            kind=first.kind,
            phase=first.phase,
            holder="x",
            started_at=first.started_at,
            phase_began_at=first.started_at,
        )


def test_a_lease_that_ran_out_hands_the_run_over_with_its_counts(site: str) -> None:
    many_users(6)
    old = taken(SHORT)
    rows("UPDATE prefs_run SET users = 2, copied = 2, cursor = %s", str(first_key(2)))
    new = copy_all()
    assert (new.pk, new.token, new.users) == (old.pk, old.token + 1, 6)


def first_key(number: int) -> int:
    key: int = value("SELECT id FROM accounts_user ORDER BY id OFFSET %s LIMIT 1", number - 1)
    return key


def test_a_process_that_lost_its_lease_writes_nothing_more(site: str) -> None:
    many_users(6)
    old = taken(SHORT)
    new = taken()

    def batch(cursor: Any, after: Any, upto: Any) -> Any:
        cursor.execute("UPDATE accounts_user SET preferences = '\"from the grave\"'")
        return steps_tally()

    with pytest.raises(LeaseLost, match="what it had not committed is undone"):
        guarded(old, ALIAS, lambda: walk(old, ALIAS, SOON, Control(), batch, 6))
    assert value("SELECT count(*) FROM accounts_user WHERE preferences = '\"from the grave\"'") == 0
    new.refresh_from_db()
    assert (new.status, new.users, new.token) == (Run.Status.RUNNING, 0, 2)


def steps_tally() -> Any:
    from prefs.engine.runs import Tally

    return Tally(copied=1)


def test_it_cannot_close_the_run_of_its_successor_either(site: str) -> None:
    old = taken(SHORT)
    new = taken()
    with pytest.raises(LeaseLost):
        close(old, ALIAS, Run.Status.DONE)
    close(new, ALIAS, Run.Status.DONE)
    assert Run.objects.get().status == Run.Status.DONE


def test_overtaken_between_two_batches_it_keeps_what_it_committed_and_stops(site: str) -> None:
    many_users(9)
    took = count()

    def overtake(progress: Progress) -> None:
        if next(took) == 0:
            assert in_thread(copy_all).result(10).status == Run.Status.DONE

    with pytest.raises(LeaseLost):
        backfill(ALIAS, Direction.FORWARD, SHORT, Control(batch_size=3, progress=overtake))
    run = Run.objects.get()
    assert (run.status, run.users, run.copied, run.token) == (Run.Status.DONE, 9, 9, 2)
    assert differences() == []


def test_a_late_process_changes_nothing_after_a_new_run_has_begun(site: str) -> None:
    many_users(2)
    old = taken(SHORT)
    new = taken(since=database_now(ALIAS))
    old.refresh_from_db()
    assert (old.status, new.status) == (Run.Status.ABANDONED, Run.Status.RUNNING)
    old.token, old.status = 1, Run.Status.RUNNING
    with pytest.raises(LeaseLost):
        close(old, ALIAS, Run.Status.DONE)
    assert old.pk != new.pk


def test_an_error_is_recorded_and_raised_and_the_run_resumes(site: str) -> None:
    many_users(4)

    def fall(progress: Progress) -> None:
        raise ArithmeticError("progress fell over")

    with pytest.raises(ArithmeticError):
        backfill(ALIAS, Direction.FORWARD, SOON, Control(batch_size=2, progress=fall))
    failed = Run.objects.get()
    assert (failed.status, failed.users) == (Run.Status.FAILED, 2)
    assert failed.error == "ArithmeticError: progress fell over"
    assert failed.lease_until is None
    assert (copy_all().pk, Run.objects.get().users) == (failed.pk, 4)


def test_a_run_whose_session_was_ended_by_the_server_resumes(site: str) -> None:
    many_users(4)

    def end(progress: Progress) -> None:
        pid = value("SELECT pg_backend_pid()")
        in_thread(lambda: rows("SELECT pg_terminate_backend(%s)", pid)).result(5)

    with pytest.raises(Exception, match=r"terminating|closed|lost"):
        backfill(ALIAS, Direction.FORWARD, SOON, Control(batch_size=2, progress=end))
    connection.close()
    rows("UPDATE prefs_run SET lease_until = now() WHERE lease_until IS NOT NULL")
    run = copy_all()
    assert (run.status, run.users, run.copied, Run.objects.count()) == ("done", 4, 4, 1)


def test_a_comparison_begun_before_a_flip_is_abandoned_and_a_copy_is_not(site: str) -> None:
    many_users(4)
    looks = count()
    compared = verify(ALIAS, SOON, Control(batch_size=1, stopped=lambda: next(looks) > 0))
    looks = count()
    copied = backfill(
        ALIAS, Direction.FORWARD, SOON, Control(batch_size=1, stopped=lambda: next(looks) > 0)
    )
    steps.take(State.DUAL_WRITE)
    assert verify_all().pk != compared.pk
    assert copy_all().pk == copied.pk
    compared.refresh_from_db()
    assert compared.status == Run.Status.ABANDONED

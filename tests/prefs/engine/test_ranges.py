"""Runs that many workers share: ranges handed out, left, taken over; one result."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from itertools import count, pairwise
from typing import Any

import pytest
from django.db import ProgrammingError, connection

from prefs.engine import ranges
from prefs.engine.backfill import backfill
from prefs.engine.batches import BatchRunner, ColumnGone, Control, Progress, UserRefused
from prefs.engine.leases import HeldRange, LeaseLost, RunHeld, Tally
from prefs.engine.repair import Direction
from prefs.engine.states import State
from prefs.engine.tasks import Task
from prefs.engine.verification import verify
from prefs.models import Range, Run
from tests.support import steps
from tests.support.steps import (
    ALIAS,
    SOON,
    copy_all,
    differences,
    in_thread,
    many_users,
    rows,
    run_once,
    until,
    value,
    verify_all,
)

SHORT = replace(SOON, lease=timedelta(0))
FORWARD = Direction.FORWARD
NOTHING = Task(ALIAS, SOON, Control())


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few users make many ranges."""
    monkeypatch.setattr(ranges, "USERS", 7)


def begun() -> Run:
    """A run of the copy, with nobody on it yet."""
    return ranges.join(Run.Kind.BACKFILL, Run.Phase.COPY, ALIAS, since=None)


def claimed(run: Run, name: str = "somebody", settings: Any = SOON) -> Range:
    """The next range of a run."""
    taken = ranges.claim(run, name, replace(NOTHING, settings=settings))
    assert taken is not None
    return taken


def keys() -> list[int]:
    """All users' keys in order."""
    return [key for (key,) in rows("SELECT id FROM accounts_user ORDER BY id")]


# --- what is handed out ----------------------------------------------------------------


def test_ranges_are_even_by_rows_whatever_holes_the_keys_have(site: str) -> None:
    many_users(30)
    rows("UPDATE accounts_user SET id = id * id * id + 1000000")
    run = begun()
    bounds = [claimed(run) for _ in range(5)]
    assert ranges.claim(run, "somebody", NOTHING) is None
    ends = [None, *(str(key) for key in keys()[6::7]), str(keys()[-1])]
    assert [(each.cursor, each.upto) for each in bounds] == list(pairwise(ends))


def test_no_user_is_in_two_ranges_however_many_claim_at_once(site: str) -> None:
    many_users(200)
    run = begun()
    start = threading.Barrier(8)

    def claim_all() -> list[tuple[str | None, str]]:
        start.wait(10)
        mine = []
        while (taken := ranges.claim(run, "somebody", NOTHING)) is not None:
            mine.append((taken.cursor, taken.upto))
        return mine

    futures = [in_thread(claim_all) for _ in range(8)]
    bounds = sorted((each for f in futures for each in f.result(20)), key=lambda b: int(b[1]))
    assert len(bounds) == 29
    assert [first for first, _ in bounds] == [None, *(last for _, last in bounds[:-1])]


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_one_worker_or_eight_the_result_is_the_same(site: str, workers: int) -> None:
    many_users(100)
    steps.take(State.DUAL_WRITE)
    seen: list[Progress] = []
    control = Control(batch_size=3, progress=seen.append)
    run = backfill(ALIAS, FORWARD, SOON, control, workers=workers)
    assert (run.status, run.users, run.copied, run.differing) == ("done", 100, 100, 0)
    assert max(progress.users for progress in seen) == 100
    assert Range.objects.count() == 0
    found = verify(ALIAS, SOON, Control(batch_size=3), workers=workers)
    assert (found.status, found.users, found.differing, differences()) == ("done", 100, 0, [])


def test_eight_workers_share_the_work(site: str) -> None:
    many_users(100)
    at_once: list[int] = []
    control = Control(batch_size=1, progress=lambda progress: at_once.append(progress.workers))
    run = backfill(ALIAS, FORWARD, SOON, control, workers=8)
    assert run.users == 100
    assert max(at_once) >= 3


# --- joining ---------------------------------------------------------------------------


def test_the_same_command_started_again_joins_and_both_say_done(site: str) -> None:
    many_users(60)
    others: list[Any] = []

    def start_another(progress: Progress) -> None:
        if not others:
            others.append(in_thread(lambda: run_once(batch_size=1)))
            until(lambda: Range.objects.count() >= 2)

    run = run_once(batch_size=1, progress=start_another)
    other = others[0].result(20)
    assert (run.pk, run.status, run.users, run.copied) == (other.pk, "done", 60, 60)
    assert other.status == "done"
    assert Run.objects.count() == 1


def test_a_restart_is_refused_while_a_worker_is_on_the_run(site: str) -> None:
    many_users(20)
    run = begun()
    claimed(run, "pid 7 on db1, worker 2")
    with pytest.raises(RunHeld, match=rf"{run} is held by pid 7 on db1, worker 2. Its lease ends"):
        backfill(ALIAS, FORWARD, SOON, Control(), restart=True)
    assert Run.objects.get().status == "running"


def test_the_other_direction_is_refused_while_a_worker_is_on_the_run(site: str) -> None:
    many_users(20)
    steps.go(State.READ_CUTOVER)
    run = ranges.join(Run.Kind.BACKFILL, Run.Phase.CATCH_UP, ALIAS, since=None)
    claimed(run)
    with pytest.raises(RunHeld, match="backfill run"):
        backfill(ALIAS, Direction.REVERSE, SOON, Control())


def test_a_run_that_is_being_stopped_is_not_joined(site: str) -> None:
    many_users(20)
    run = begun()
    taken = claimed(run)
    rows("UPDATE prefs_run SET stopping = true")
    with pytest.raises(RunHeld):
        copy_all()
    ranges.release(taken, ALIAS)
    assert (copy_all().status, Run.objects.get().users) == ("done", 20)


# --- workers that go -------------------------------------------------------------------


def test_a_range_whose_worker_died_is_taken_over_where_it_was(site: str) -> None:
    many_users(20)
    run = begun()
    dead = claimed(run, settings=SHORT)
    rows("UPDATE prefs_range SET users = 2, copied = 2, cursor = %s", str(keys()[1]))
    again = claimed(run)
    assert (again.pk, again.token, again.cursor) == (dead.pk, dead.token + 1, str(keys()[1]))
    ranges.release(again, ALIAS)
    assert (copy_all().users, Run.objects.get().copied) == (20, 20)


def test_a_range_that_is_held_is_not_taken_over(site: str) -> None:
    many_users(20)
    run = begun()
    first, second = claimed(run), claimed(run)
    assert first.pk != second.pk


def test_a_worker_that_lost_its_range_writes_nothing_more_and_takes_another(site: str) -> None:
    many_users(9)
    took = count()

    def overtake(progress: Progress) -> None:
        if next(took) == 0:
            assert in_thread(copy_all).result(10).status == Run.Status.DONE

    told: list[str] = []
    control = Control(batch_size=3, progress=overtake, notice=told.append)
    run = backfill(ALIAS, FORWARD, SHORT, control)
    assert (run.status, run.users, run.copied) == (Run.Status.DONE, 9, 9)
    assert [text for text in told if "was lost to another process" in text]
    assert differences() == []


def test_a_batch_under_an_old_token_is_undone_whole(site: str) -> None:
    many_users(9)
    old = claimed(begun(), settings=SHORT)
    claimed(old.run)

    def batch(cursor: Any, after: Any, upto: Any) -> Any:
        cursor.execute("UPDATE accounts_user SET preferences = '\"from the grave\"'")
        return Tally(copied=1)

    with pytest.raises(LeaseLost, match="what it had not committed is undone"):
        BatchRunner(ALIAS, SOON, Control(), "copy", 9).through(HeldRange(old, ALIAS, SOON), batch)
    assert value("SELECT count(*) FROM accounts_user WHERE preferences = '\"from the grave\"'") == 0


@pytest.mark.parametrize("state", [State.EXPANDED, State.DROPPED], ids=["back by now", "gone"])
def test_a_batch_that_met_no_column_says_so_also_where_it_is_back_by_now(
    site: str, state: State
) -> None:
    many_users(9)
    steps.go(state)
    holding = HeldRange(claimed(begun()), ALIAS, SOON)

    def batch(cursor: Any, after: Any, upto: Any) -> Any:
        cursor.execute("SELECT u.preferences FROM (SELECT 1) u")

    with pytest.raises(ColumnGone):
        BatchRunner(ALIAS, SOON, Control(), "copy", 9).through(holding, batch)


def test_a_column_that_is_missing_otherwise_is_an_error(site: str) -> None:
    many_users(9)
    holding = HeldRange(claimed(begun()), ALIAS, SOON)

    def batch(cursor: Any, after: Any, upto: Any) -> Any:
        cursor.execute("SELECT u.user_preferences FROM (SELECT 1) u")

    with pytest.raises(ProgrammingError, match="user_preferences does not exist"):
        BatchRunner(ALIAS, SOON, Control(), "copy", 9).through(holding, batch)


def test_a_range_cannot_be_counted_twice(site: str) -> None:
    many_users(9)
    run = begun()
    old = claimed(run, settings=SHORT)
    again = claimed(run)
    with pytest.raises(LeaseLost):
        ranges.fold(old, ALIAS)
    ranges.fold(again, ALIAS)
    with pytest.raises(LeaseLost):
        ranges.fold(again, ALIAS)


def test_who_holds_a_range_of_an_abandoned_run_ends(site: str) -> None:
    many_users(9)
    run = begun()
    old = claimed(run, settings=SHORT)
    backfill(ALIAS, FORWARD, SOON, Control(), restart=True)
    with pytest.raises(LeaseLost):
        ranges.claim(run, "somebody", NOTHING)
    with pytest.raises(LeaseLost):
        ranges.fold(old, ALIAS)


def test_one_that_is_interrupted_leaves_its_range_to_others_and_the_run_goes_on(site: str) -> None:
    many_users(40)
    looks, first = count(), begun()
    claimed(first, "another host")
    stopped = run_once(batch_size=1, stopped=lambda: next(looks) > 4)
    assert (stopped.pk, stopped.status) == (first.pk, Run.Status.RUNNING)
    rows("UPDATE prefs_range SET lease_until = NULL")
    assert (copy_all().pk, Run.objects.get().users) == (first.pk, 40)


def test_the_last_to_leave_calls_the_run_interrupted(site: str) -> None:
    many_users(40)
    looks = count()
    stopped = run_once(batch_size=1, stopped=lambda: next(looks) > 4)
    assert (stopped.status, stopped.stopping) == (Run.Status.INTERRUPTED, False)
    assert (copy_all().pk, Run.objects.get().users) == (stopped.pk, 40)


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_is_recorded_and_raised_and_the_run_resumes(site: str, workers: int) -> None:
    many_users(40)

    def fall(progress: Progress) -> None:
        raise ArithmeticError("progress fell over")

    with pytest.raises(ArithmeticError):
        backfill(ALIAS, FORWARD, SOON, Control(batch_size=2, progress=fall), workers=workers)
    failed = Run.objects.get()
    assert (failed.status, failed.error) == ("failed", "ArithmeticError: progress fell over")
    assert not Range.objects.exclude(lease_until=None).exists()
    assert (copy_all().pk, Run.objects.get().users) == (failed.pk, 40)


def test_a_run_whose_session_was_ended_by_the_server_resumes(site: str) -> None:
    many_users(4)

    def end(progress: Progress) -> None:
        pid = value("SELECT pg_backend_pid()")
        in_thread(lambda: rows("SELECT pg_terminate_backend(%s)", pid)).result(5)

    with pytest.raises(Exception, match=r"terminating|closed|lost"):
        backfill(ALIAS, FORWARD, SOON, Control(batch_size=2, progress=end))
    connection.close()
    rows("UPDATE prefs_range SET lease_until = now()")
    run = copy_all()
    assert (run.status, run.users, run.copied, Run.objects.count()) == ("done", 4, 4, 1)


def test_a_comparison_begun_before_a_flip_is_abandoned_and_a_copy_is_not(site: str) -> None:
    many_users(4)
    looks = count()
    compared = verify(ALIAS, SOON, Control(batch_size=1, stopped=lambda: next(looks) > 2))
    looks = count()
    copied = backfill(ALIAS, FORWARD, SOON, Control(batch_size=1, stopped=lambda: next(looks) > 2))
    steps.take(State.DUAL_WRITE)
    assert verify_all().pk != compared.pk
    assert copy_all().pk == copied.pk
    compared.refresh_from_db()
    assert compared.status == Run.Status.ABANDONED


def test_a_catch_up_begun_while_a_flip_drained_is_abandoned(site: str) -> None:
    many_users(4)
    copy_all()
    steps.take(State.DUAL_WRITE)
    looks = count()
    begun = backfill(ALIAS, FORWARD, SOON, Control(batch_size=1, stopped=lambda: next(looks) > 8))
    assert (begun.phase, begun.status) == (Run.Phase.CATCH_UP, Run.Status.INTERRUPTED)
    rows("UPDATE prefs_transition SET settled_at = now()")
    assert copy_all().pk != begun.pk
    begun.refresh_from_db()
    assert begun.status == Run.Status.ABANDONED


# --- one user whom the database refuses ------------------------------------------------


def test_a_user_who_is_refused_is_found_named_and_the_only_one_left(site: str) -> None:
    users = many_users(40)
    rows(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NEW.user_id = {users[16]} THEN RAISE 'not this one'; END IF; RETURN NEW; END $$"
    )
    rows(
        "CREATE TRIGGER refuse BEFORE INSERT ON user_preferences"
        " FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    with pytest.raises(UserRefused, match=f"stopped at user {users[16]}, whom .*: not this one"):
        run_once(batch_size=7)
    copied = [key for (key,) in rows("SELECT user_id FROM user_preferences ORDER BY 1")]
    assert copied == users[:16]
    assert Run.objects.get().status == "failed"
    rows("DROP TRIGGER refuse ON user_preferences")
    assert (copy_all().copied, Run.objects.get().users) == (40, 40)
    assert differences() == []

"""Batches follow their target time, and whatever their sizes do, each user is taken once."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from prefs.engine import ranges
from prefs.engine.backfill import backfill
from prefs.engine.batches import BatchRunner, Control, Progress
from prefs.engine.orders import order
from prefs.engine.pace import Pace
from prefs.engine.repair import Direction
from prefs.engine.states import State
from prefs.engine.verification import verify
from prefs.models import Range, Run
from tests.support.steps import (
    ALIAS,
    SOON,
    FakeClock,
    differences,
    many_users,
    rows,
    run_once,
    take,
    value,
    verify_all,
)

TARGET = 1.0


def steady(pace: Pace, per_user: float, batches: int) -> list[int]:
    """The sizes after each of some batches whose users take so long each."""
    sizes = []
    for _ in range(batches):
        pace.took(pace.size, pace.size, pace.size * per_user)
        sizes.append(pace.size)
    return sizes


def slow_inserts(per_user: float) -> None:
    """A trigger of the site's that takes its time for each row, as the table `cost` says."""
    rows("CREATE TABLE cost AS SELECT %s::float AS per_user", per_user)
    rows(
        "CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM pg_sleep(c.per_user * (SELECT count(*) FROM added)) FROM cost c;"
        " RETURN NULL; END $$"
    )
    rows(
        "CREATE TRIGGER take_time AFTER INSERT ON user_preferences REFERENCING NEW TABLE AS added"
        " FOR EACH STATEMENT EXECUTE FUNCTION take_time()"
    )


def is_exact(run: Run, users: int) -> bool:
    """Whether a run was over each of so many users once, and all are as they should be."""
    held = value("SELECT count(*) FROM user_preferences")
    return (run.status, run.users, run.copied, held) == ("done", users, users, users) and (
        differences() == []
    )


# --- the size alone ----------------------------------------------------------------------


@pytest.mark.parametrize(("per_user", "size"), [(0.0005, 2000), (0.001, 1000), (0.008, 125)])
def test_a_batch_takes_as_many_users_as_fit_the_target(per_user: float, size: int) -> None:
    pace = Pace(None, TARGET)
    assert steady(pace, per_user, 12)[-3:] == [size] * 3


def test_it_changes_eightfold_within_three_batches_both_ways() -> None:
    pace = Pace(None, TARGET)
    steady(pace, 1 / 400, 5)
    assert steady(pace, 1 / 3200, 3) == [800, 1600, 3200]
    assert steady(pace, 1 / 400, 3) == [1600, 800, 400]


def test_a_target_that_changes_is_followed_from_the_next_batch_on() -> None:
    pace = Pace(None, TARGET)
    steady(pace, 1 / 400, 5)
    pace.target = TARGET * 8
    assert steady(pace, 1 / 400, 3) == [800, 1600, 3200]
    pace.target = TARGET
    assert steady(pace, 1 / 400, 3) == [1600, 800, 400]


def test_time_alone_makes_no_batch_so_small_that_it_is_no_faster() -> None:
    assert steady(Pace(None, TARGET), 0.05, 9)[-1] == 100
    small = Pace(None, TARGET)
    small.missed(80)
    assert steady(small, 0.2, 3) == [40, 40, 40]


def test_users_who_are_very_slow_each_are_taken_one_by_one() -> None:
    assert steady(Pace(None, TARGET), 7.0, 12)[-1] == 1


def test_a_miss_halves_at_once_and_down_to_one() -> None:
    pace = Pace(9, TARGET)
    sizes = []
    for _ in range(5):
        pace.missed(pace.size)
        sizes.append(pace.size)
    assert sizes == [4, 2, 1, 1, 1]


def test_a_miss_of_a_small_batch_halves_that_one() -> None:
    pace = Pace(100, TARGET)
    pace.missed(10)
    assert pace.size == 5


def test_a_batch_that_was_cut_short_teaches_nothing() -> None:
    pace = Pace(None, TARGET)
    pace.took(30, 500, 0.001)
    assert pace.size == 500
    pace.took(499, 500, 50.0)
    assert pace.size == 500


def test_a_batch_that_the_rate_made_small_teaches_nothing() -> None:
    pace = Pace(None, TARGET)
    pace.took(10, 10, 0.001)
    assert pace.size == 500
    pace.took(10, 10, 50.0)
    assert pace.size == 500


def test_it_never_takes_more_than_it_may() -> None:
    assert max(steady(Pace(300, TARGET), 0.0, 5)) == 300
    assert steady(Pace(None, TARGET), 0.0, 9)[-1] == 20_000


# --- through runs ------------------------------------------------------------------------


def test_slow_batches_shrink_and_fast_ones_grow_and_each_user_is_taken_once(site: str) -> None:
    many_users(3_000)
    slow_inserts(0.001)
    sizes: list[int] = []

    def told(progress: Progress) -> None:
        sizes.append(progress.batch)
        if sizes[-1] == 100:
            rows("UPDATE cost SET per_user = 0")
            order(Run.Kind.BACKFILL, ALIAS, target_ms=60_000)

    run = run_once(target=0.05, progress=told)
    assert sizes[:3] == [250, 125, 100]
    # One batch more goes by the target before: an order is heard at the end of a batch.
    assert sizes[4:6] == [2 * sizes[3], 4 * sizes[3]]
    assert is_exact(run, 3_000)


def test_only_batches_that_lock_nobody_take_twice_as_long(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_users(10)
    ours, targets = BatchRunner.through, list[tuple[str, float]]()

    def through(runner: BatchRunner, *what: Any) -> bool:
        targets.append((runner.phase, runner.target))
        return ours(runner, *what)

    monkeypatch.setattr(BatchRunner, "through", through)
    take(State.DUAL_WRITE)
    run_once()
    verify_all()
    verify(ALIAS, SOON, Control(), repair=True)
    assert targets == [
        ("copy", 0.05),
        ("catch_up", 0.025),
        ("compare", 0.05),
        # With --repair, that is.
        ("compare", 0.025),
    ]


@pytest.mark.parametrize("workers", [1, 3])
def test_no_user_is_skipped_or_repeated_whatever_the_sizes_do(
    site: str, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "USERS", 2_600)
    many_users(8_000)
    rng = random.Random()
    sizes: set[int] = set()

    def told(progress: Progress) -> None:
        sizes.add(progress.batch)
        # The first is not left to chance: there are not many batches to take another size.
        targets = [1] if len(sizes) == 1 else [1, 60_000, 60_000]
        order(Run.Kind.BACKFILL, ALIAS, target_ms=rng.choice(targets))

    control = Control(progress=told)
    run = backfill(ALIAS, Direction.FORWARD, SOON, control, workers=workers)
    assert len(sizes) > 1
    assert is_exact(run, 8_000)


def test_nor_by_a_comparison(site: str) -> None:
    many_users(2_000)
    run_once()
    rows("UPDATE user_preferences SET theme = 'light' WHERE user_id % 7 = 0")
    rng, found = random.Random(), list[int]()

    def told(progress: Progress) -> None:
        order(Run.Kind.VERIFICATION, ALIAS, target_ms=rng.choice([1, 60_000, 60_000]))

    run = verify(ALIAS, SOON, Control(progress=told), report=found.extend)
    assert found == differences()
    assert (run.users, run.differing) == (2_000, len(found))


@pytest.mark.slow
def test_a_statement_timeout_halves_the_batch_and_the_run_goes_on(site: str) -> None:
    many_users(70)
    slow_inserts(0.02)
    notes: list[str] = []
    rows("SET statement_timeout = '500ms'")
    run = run_once(batch_size=64, progress=lambda progress: notes.append(progress.note))
    rows("RESET statement_timeout")
    assert notes[:2] == [f"canceled or timed out, batch {size}" for size in (32, 16)]
    assert run.retries == sum(1 for note in notes if note)
    assert is_exact(run, 70)


def test_an_operator_who_cancels_a_batch_does_no_harm(site: str) -> None:
    many_users(30)
    rows(
        "CREATE FUNCTION cancel() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM pg_cancel_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END $$"
    )
    rows(
        "CREATE TRIGGER cancel AFTER UPDATE ON prefs_range FOR EACH ROW"
        " WHEN (NEW.users > 0 AND NEW.retries = 0) EXECUTE FUNCTION cancel()"
    )
    run = run_once(batch_size=16)
    assert run.retries == 1
    assert is_exact(run, 30)


def test_a_limited_rate_does_not_change_the_size_it_would_have(site: str) -> None:
    many_users(50)
    sizes: list[int] = []
    run = run_once(max_rate=10, clock=FakeClock(), progress=lambda p: sizes.append(p.batch))
    assert sizes == [500] * 5
    assert is_exact(run, 50)


def test_a_rate_that_is_lowered_after_a_large_batch_can_still_be_raised(site: str) -> None:
    many_users(800)
    clock = OrderingClock()
    ends: list[object] = []

    def told(progress: Progress) -> None:
        if progress.users == 400:
            order(Run.Kind.BACKFILL, ALIAS, max_rate=1)

    clock.at(20.0, lambda: ends.append(Range.objects.get().lease_until))
    clock.at(30.0, lambda: ends.append(Range.objects.get().lease_until))
    clock.at(40.0, lambda: order(Run.Kind.BACKFILL, ALIAS, max_rate=0))
    run = run_once(batch_size=400, clock=clock, progress=told)
    assert 40 <= clock.slept < 42
    assert [a < b for a, b in pairwise(map(str, ends))] == [True]
    assert is_exact(run, 800)


class OrderingClock(FakeClock):
    """One by which something happens at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._due: list[tuple[float, object]] = []

    def at(self, seconds: float, what: object) -> None:
        """Do something once so many seconds have passed."""
        self._due.append((seconds, what))

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        while self._due and self._due[0][0] <= self.slept:
            what = self._due.pop(0)[1]
            assert callable(what)
            what()

"""Background work waits while the database is busy, says what for, and goes on by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from pytest_django import Settings as DjangoSettings

from prefs.clock import Clock
from prefs.conf import Settings
from prefs.engine.backfill import backfill
from prefs.engine.batches import Control, Progress
from prefs.engine.repair import Direction
from prefs.engine.states import State
from prefs.engine.throttle import Throttle, ThrottleSilent, Watch
from prefs.models import Run
from prefs.sql import signals
from tests.prefs.engine.busy import WORKER, asleep, waiting
from tests.support import scratch
from tests.support.running import run
from tests.support.steps import (
    ALIAS,
    SOON,
    FakeClock,
    add_users,
    copy_all,
    differences,
    go,
    many_users,
    run_once,
    until,
    value,
)

QUIET = replace(SOON, throttle_waiting_sessions=(), throttle_oldest_transaction=())
WAITING = replace(QUIET, throttle_waiting_sessions=(3, 1))
OWN = f"{__name__}.own_reason"
reasons: list[str] = []


def own_reason(alias: str) -> str:
    """A site's own throttle."""
    assert alias == ALIAS
    return reasons[-1] if reasons else ""


def own_at_first(alias: str) -> str:
    """One that has a reason the first time it is asked."""
    reasons.append("")
    return "not now" if len(reasons) == 1 else ""


def own_failure(alias: str) -> str:
    """One that is broken."""
    raise ArithmeticError(f"no reading of {alias}")


@pytest.fixture(autouse=True)
def no_reasons() -> Iterator[None]:
    """Nothing to wait for."""
    reasons.clear()
    yield
    reasons.clear()


# --- each signal ---------------------------------------------------------------------------


def test_on_a_quiet_database_there_is_nothing_to_wait_for(site: str) -> None:
    assert Throttle(ALIAS, replace(SOON, throttle_active_sessions=(150, 100))).look() == ""


def test_it_waits_for_sessions_that_wait_for_a_worker_and_goes_on_at_the_lower_number(
    site: str,
) -> None:
    throttle = Throttle(ALIAS, WAITING)
    with waiting(site, 3) as them:
        assert throttle.look() == "3 sessions wait for a lock of a batch"
        them.call_away(1)
        assert throttle.look() == "2 sessions wait for a lock of a batch"
        them.call_away(1)
        assert throttle.look() == ""


def test_between_the_two_numbers_it_does_not_begin_to_wait(site: str) -> None:
    throttle = Throttle(ALIAS, WAITING)
    with waiting(site, 2):
        assert throttle.look() == ""


def test_sessions_that_wait_for_anybody_else_are_not_its_affair(site: str) -> None:
    throttle = Throttle(ALIAS, WAITING)
    with waiting(site, 3, holder="web"):
        assert throttle.look() == ""


def test_it_waits_while_many_sessions_are_active(site: str) -> None:
    throttle = Throttle(ALIAS, replace(QUIET, throttle_active_sessions=(15, 14)))
    with asleep(site, 15):
        assert throttle.look().endswith(" sessions are active")
    until(lambda: throttle.look() == "")


def test_workers_are_not_among_the_active(site: str) -> None:
    throttle = Throttle(ALIAS, replace(QUIET, throttle_active_sessions=(15, 14)))
    with asleep(site, 15, WORKER):
        assert throttle.look() == ""


def test_it_waits_while_a_transaction_is_old(site: str) -> None:
    throttle = Throttle(ALIAS, replace(QUIET, throttle_oldest_transaction=(0.5, 0.4)))
    with scratch.connect(site, "web") as session:
        session.execute("BEGIN")
        session.execute("SELECT 1")
        assert throttle.look() == ""
        Clock().sleep(0.6)
        assert throttle.look() == "a transaction has been open for 1 s"
        session.execute("COMMIT")
        assert throttle.look() == ""


@pytest.mark.parametrize("application", [WORKER, "web"])
def test_a_batch_of_a_worker_and_another_database_are_not_old(
    site: str, copies: scratch.Copies, application: str
) -> None:
    throttle = Throttle(ALIAS, replace(QUIET, throttle_oldest_transaction=(0.2, 0.1)))
    where = site if application == WORKER else "postgres"
    with scratch.connect(where, application) as session:
        session.execute("BEGIN")
        session.execute("SELECT 1")
        Clock().sleep(0.3)
        assert throttle.look() == ""


def test_it_waits_while_a_replica_is_behind(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No replica is at hand: the one statement is altered, the rest is real."""
    throttle = Throttle(ALIAS, QUIET)
    lag = replace_lag(monkeypatch)
    seen = []
    for lag[0] in (9.9, 10.0, 5.1, 5.0, 9.9):
        seen.append(throttle.look())
    behind = "replicas are {} s behind"
    assert seen == ["", behind.format(10), behind.format(5), "", ""]


def replace_lag(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Has the statement find the lag that stands in the list returned."""
    lag, found = [0.0], signals.signals()
    measured, source = "max(r.replay_lag)", "FROM pg_stat_replication r"
    assert measured in found
    assert source in found

    def altered() -> str:
        return found.replace(measured, f"interval '{lag[0]} s'").replace(source, "")

    monkeypatch.setattr(signals, "signals", altered)
    return lag


def test_several_reasons_are_all_given(site: str) -> None:
    reasons.append("it is Black Friday")
    throttle = Throttle(ALIAS, replace(WAITING, throttle_callable=OWN))
    with waiting(site, 3):
        assert throttle.look() == "3 sessions wait for a lock of a batch; it is Black Friday"


# --- a site's own, and mistakes ------------------------------------------------------------


def test_it_waits_while_the_sites_own_function_says_why(site: str) -> None:
    throttle = Throttle(ALIAS, replace(QUIET, throttle_callable=OWN))
    assert throttle.look() == ""
    reasons.append("the nightly report is running")
    assert throttle.look() == "the nightly report is running"


def test_thresholds_may_be_off(site: str) -> None:
    assert SOON.throttle_waiting_sessions == (4, 1)
    with waiting(site, 5):
        assert Throttle(ALIAS, SOON).look() != ""
        assert Throttle(ALIAS, QUIET).look() == ""


# --- runs ----------------------------------------------------------------------------------


def test_a_run_waits_with_the_reason_in_its_progress_and_then_goes_on(site: str) -> None:
    many_users(20)
    told: list[Progress] = []
    with waiting(site, 3) as them:

        def tell(progress: Progress) -> None:
            told.append(progress)
            if sum(each.held_back for each in told) == 3:
                them.end()

        throttle = Throttle(ALIAS, WAITING)
        # The rows in the worker's hand are locked for writers alone: the copy needs no more.
        run = run_once(batch_size=10, progress=tell, throttle=throttle.look)
    notes = [progress.note for progress in told]
    assert notes[:3] == ["waiting: 3 sessions wait for a lock of a batch"] * 3
    assert {progress.users for progress in told[:3]} == {0}
    assert not any(progress.held_back for progress in told[3:])
    assert (run.status, run.users, differences()) == ("done", 23, [])


@pytest.mark.slow
def test_all_its_workers_wait(site: str) -> None:
    many_users(20)
    reasons.append("not now")
    told: list[Progress] = []
    settings = replace(QUIET, throttle_callable=OWN)

    def tell(progress: Progress) -> None:
        told.append(progress)
        if len(told) == 10:
            reasons.append("")

    with Watch(ALIAS, settings) as watch:
        until(lambda: watch() == "not now")
        control = Control(progress=tell, throttle=watch)
        run = backfill(ALIAS, Direction.FORWARD, settings, control, workers=3)
    assert {progress.note for progress in told[:10]} == {"waiting: not now"}
    assert (run.status, run.users) == ("done", 20)


@pytest.mark.slow
def test_so_do_corrections_archives_and_restores_before_their_first_batch(
    site: str, settings: DjangoSettings
) -> None:
    settings.PREFS_CUTOVER_SOAK = settings.PREFS_CONTRACT_SOAK = timedelta(0)
    settings.PREFS_THROTTLE_CALLABLE = f"{__name__}.own_at_first"
    add_users({"compact_mode": "true"})
    go(State.MIRROR_OFF)
    rule = ("--leaf", "compact_mode", "--value", '"true"', "--set", "true")
    for command in (
        ("quarantine_prefs", "--correct", *rule),
        ("advance_prefs", "--to", "dropped", "--noinput"),
        ("rollback_prefs", "--to", "mirror_off"),
    ):
        reasons.clear()
        assert run(*command).status == 0
        # It has a reason the first time, and so there was work left to do the second time.
        assert len(reasons) > 1, command


def test_one_that_is_broken_fails_the_run_with_its_own_error(site: str) -> None:
    many_users(20)
    settings = replace(SOON, throttle_callable=f"{__name__}.own_failure")
    with Watch(ALIAS, settings) as watch:
        until(lambda: is_broken(watch))
        with pytest.raises(ArithmeticError, match="no reading of default"):
            backfill(ALIAS, Direction.FORWARD, settings, Control(throttle=watch))
    failed = Run.objects.get()
    assert (failed.status, failed.users) == ("failed", 0)
    assert failed.error == "ArithmeticError: no reading of default"
    assert (copy_all().pk, Run.objects.get().users) == (failed.pk, 20)


def is_broken(watch: Watch) -> bool:
    try:
        watch()
    except ArithmeticError:
        return True
    return False


def test_a_function_that_is_not_there_is_an_error_before_anything_is_done(site: str) -> None:
    with pytest.raises(ImportError, match="no_such_function"):
        Watch(ALIAS, Settings(throttle_callable=f"{__name__}.no_such_function"))


def says(watch: Watch, reason: str) -> bool:
    return watch() == reason


def sessions() -> int:
    found: int = value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
    return found


@pytest.mark.slow
def test_a_watch_looks_again_and_again_and_leaves_no_thread_and_no_session(site: str) -> None:
    before = sessions()
    with Watch(ALIAS, replace(QUIET, throttle_callable=OWN)) as watch:
        assert watch() == ""
        until(lambda: sessions() == before + 1)
        for reason in ("one", "another", ""):
            reasons.append(reason)
            until(partial(says, watch, reason))
    assert "throttle" not in {thread.name for thread in threading.enumerate()}
    until(lambda: sessions() == before)


# --- a look that does not end --------------------------------------------------------------


def own_block(alias: str) -> str:
    """A site's own throttle that answers when the test is over."""
    answers.wait(60)
    return ""


answers = threading.Event()


@pytest.fixture
def blocked() -> Iterator[Settings]:
    """Settings with that throttle; it may answer at the end."""
    answers.clear()
    yield replace(QUIET, throttle_callable=f"{__name__}.own_block")
    answers.set()


def test_a_look_that_takes_long_is_told_and_nobody_is_copied_before_it_ends(
    site: str, blocked: Settings
) -> None:
    """Case B15: where the site's own function blocks, it waits as for a busy database."""
    many_users(20)
    told: list[Progress] = []

    def tell(progress: Progress) -> None:
        told.append(progress)
        if len(told) == 3:
            answers.set()

    with Watch(ALIAS, blocked) as watch:
        control = Control(progress=tell, throttle=watch)
        assert backfill(ALIAS, Direction.FORWARD, blocked, control).users == 20
    assert {progress.users for progress in told[:3]} == {0}
    assert told[0].note == "waiting: a look at what to wait for has taken 0 s"


@pytest.mark.slow
def test_a_look_that_does_not_end_ends_the_run_which_resumes(site: str, blocked: Settings) -> None:
    """Case B15: there is a limit, and it is said what happens at it."""
    many_users(20)
    settings = replace(blocked, throttle_patience=timedelta(seconds=1))
    notices: list[str] = []
    with (
        Watch(ALIAS, settings, notice=notices.append) as watch,
        pytest.raises(ThrottleSilent, match=r"has ended for 1 s \(PREFS_THROTTLE_PATIENCE\): "),
    ):
        backfill(ALIAS, Direction.FORWARD, settings, Control(throttle=watch), workers=3)
    assert notices == ["A look at what to wait for has not ended, and was left to itself."]
    failed = Run.objects.get()
    assert (failed.status, failed.users) == ("failed", 0)
    assert (copy_all().pk, Run.objects.get().users) == (failed.pk, 20)


def test_a_look_that_blocks_later_counts_as_the_one_before_for_a_while(
    site: str, blocked: Settings
) -> None:
    """Case B15: a slow function does not slow down the work."""
    clock = FakeClock()
    with Watch(ALIAS, blocked, clock) as watch:
        watch._looked.set()
        assert watch() == ""
        clock.sleep(6)
        assert watch() == "a look at what to wait for has taken 6 s"
        clock.sleep(60)
        with pytest.raises(ThrottleSilent):
            watch()

"""From every state, at every moment, there is a way back, and it keeps every write made since."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest
from pytest_django import Settings as DjangoSettings

from prefs.engine.states import State
from prefs.models import Transition
from tests.prefs.commands.ledger import Ledger
from tests.prefs.commands.processes import at_work, counted, under_way
from tests.support import scratch
from tests.support.forked import Process
from tests.support.running import run
from tests.support.steps import (
    copy_all,
    differences,
    go,
    held_open,
    rows,
    state,
    take,
    until,
    value,
    verify_all,
)

SOON = {"cutover_soak": 0.0, "contract_soak": 0.0, "lease": 0.1, "lock_patience": 20.0}
USERS = 60
FLIPS = [
    (State.EXPANDED, State.DUAL_WRITE),
    (State.DUAL_WRITE, State.READ_CUTOVER),
    (State.READ_CUTOVER, State.MIRROR_OFF),
]


@pytest.fixture(autouse=True)
def _soon(settings: DjangoSettings) -> None:
    settings.PREFS_CUTOVER_SOAK = settings.PREFS_CONTRACT_SOAK = timedelta(0)


@contextmanager
def running(site: str, *arguments: str) -> Iterator[Process]:
    """A command in the background, killed with SIGKILL where the test does not wait for it."""
    with scratch.start(scratch.environment(site, **SOON), *arguments) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: Process) -> int:
    process.communicate(timeout=30)
    return process.returncode


def go_back(ledger: Ledger) -> None:
    """The way back to the start by its commands alone, writing in every state on it."""
    while state() is not State.EXPANDED:
        ledger.write_all()
        back = run("rollback_prefs")
        if back.status == 4:
            assert "verified_since_mirror: " in back.err
            assert run("backfill_prefs", "--reverse").status == 0
            assert run("verify_prefs").status == 0
            back = run("rollback_prefs")
        assert back.status == 0, back.err
        ledger.assert_nothing_is_lost()
    ledger.write_all()
    ledger.assert_nothing_is_lost()
    assert not Transition.objects.filter(settled_at=None).exists()


def go_forth(ledger: Ledger) -> None:
    """What was done before the way back does no harm to a second way forward."""
    for command in ("advance_prefs", "backfill_prefs", "verify_prefs", "advance_prefs"):
        until(lambda: at_work() == 0)
        assert run(command).status == 0
        ledger.write_all()
    assert state() is State.READ_CUTOVER
    assert differences() == []
    ledger.assert_nothing_is_lost()


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("here", [State.DUAL_WRITE, State.READ_CUTOVER])
def test_during_a_backfill(site: str, here: State, killed: bool) -> None:
    ledger = Ledger(USERS)
    go(here)
    reverse = ["--reverse"] if here is State.READ_CUTOVER else []
    slowly = ("--batch-size", "5", "--max-rate", "60")
    with running(site, "backfill_prefs", *reverse, *slowly) as process:
        until(under_way, 20)
        ledger.write_all()
        assert run("rollback_prefs").status == 0
        ledger.write_all()
        if not killed:
            # In reverse it finds the primary moved as soon as there is one to overwrite.
            assert ended(process) in ((0, 4) if reverse else (0,))
    go_back(ledger)
    go_forth(ledger)


SLOW = """CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN PERFORM pg_sleep(1); RETURN NEW; END$$;
  CREATE TRIGGER slow BEFORE UPDATE ON prefs_range FOR EACH ROW WHEN (new.batches = %d)
  EXECUTE FUNCTION slow()"""
SLEEPS = """SELECT count(*) FROM pg_stat_activity
  WHERE wait_event = 'PgSleep' AND datname = current_database()"""


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("here", [State.DUAL_WRITE, State.READ_CUTOVER])
def test_during_a_verification_that_repairs(site: str, here: State, killed: bool) -> None:
    ledger = Ledger(USERS)
    go(here)
    rows(SLOW % 1)
    with running(site, "verify_prefs", "--repair") as process:
        until(lambda: value(SLEEPS) == 1, 20)
        ledger.write_all()
        assert run("rollback_prefs").status == 0
        ledger.write_all()
        if not killed:
            assert ended(process) in (0, 3)
    rows("DROP TRIGGER slow ON prefs_range")
    go_back(ledger)
    go_forth(ledger)


@contextmanager
def in_the_drain(site: str, there: State, ledger: Ledger) -> Iterator[Process]:
    """A process that waits for a writer of the old route, whose write commits at the end."""
    writer = next(iter(ledger.expected))
    with held_open(lambda: ledger.write(writer)), running(site, "advance_prefs") as process:
        until(lambda: Transition.objects.filter(to_state=there, settled_at=None).exists(), 20)
        ledger.write(max(ledger.expected))
        yield process


def ready_for(here: State) -> Ledger:
    ledger = Ledger(USERS)
    go(here)
    if here is State.DUAL_WRITE:
        copy_all()
    verify_all()
    return ledger


@pytest.mark.parametrize(("here", "there"), FLIPS)
def test_during_a_drain(site: str, here: State, there: State) -> None:
    ledger = ready_for(here)
    with ExitStack() as stack:
        with in_the_drain(site, there, ledger) as process:
            back = stack.enter_context(running(site, "rollback_prefs"))
            assert state() is there
        assert ended(back) == 0
        assert process.poll() is not None
    assert state() is here
    ledger.assert_nothing_is_lost()
    go_back(ledger)
    go_forth(ledger)


@pytest.mark.parametrize(("here", "there"), FLIPS)
def test_after_a_crash_in_a_flip(site: str, here: State, there: State) -> None:
    ledger = ready_for(here)
    with in_the_drain(site, there, ledger) as process:
        process.kill()
        process.wait()
    assert (state(), Transition.objects.filter(settled_at=None).count()) == (there, 1)
    ledger.write_all()
    go_back(ledger)
    go_forth(ledger)


def test_after_a_crash_in_the_way_back_itself(site: str) -> None:
    ledger = ready_for(State.MIRROR_OFF)
    writer = next(iter(ledger.expected))
    for there in (State.READ_CUTOVER, State.DUAL_WRITE, State.EXPANDED):
        if there is State.DUAL_WRITE:
            assert run("backfill_prefs", "--reverse").status == 0
            assert run("verify_prefs").status == 0
        taken = Transition.objects.filter(to_state=there, settled_at=None)
        with held_open(lambda: ledger.write(writer)), running(site, "rollback_prefs") as process:
            until(taken.all().exists, 20)
            process.kill()
            process.wait()
        assert state() is there
        ledger.write_all()
        assert run("rollback_prefs").status == 0
        assert state() is there
        ledger.assert_nothing_is_lost()
    go_forth(ledger)


@pytest.mark.slow
@pytest.mark.parametrize("here", list(State)[1:])
def test_after_the_soak_and_after_the_drop(site: str, here: State) -> None:
    ledger = ready_for(State.DUAL_WRITE)
    for there in list(State)[2:]:
        if here in (State.DUAL_WRITE, state()):
            break
        ledger.write_all()
        verify_all()
        assert run("advance_prefs", "--noinput").status == 0
        assert state() is there
    go_back(ledger)
    go_forth(ledger)


def test_during_the_restore_of_the_column_and_after_it_was_killed(site: str) -> None:
    ledger = Ledger(1_100)
    go(State.DROPPED)
    ledger.write_all()
    rows(SLOW % 2)
    with running(site, "rollback_prefs") as process:
        until(lambda: value(SLEEPS) == 1, 20)
        ledger.write(min(ledger.expected))
        process.kill()
        process.wait()
    rows("DROP TRIGGER slow ON prefs_range")
    assert counted() == 500
    assert (state(), Transition.objects.filter(settled_at=None).count()) == (State.MIRROR_OFF, 1)
    ledger.write_all()
    ledger.assert_nothing_is_lost()
    until(lambda: at_work() == 0)
    assert run("rollback_prefs").status == 0
    assert state() is State.MIRROR_OFF
    go_back(ledger)
    go_forth(ledger)


def test_the_ledger_notices_a_write_that_a_rollback_lost(site: str) -> None:
    """A rollback past its gate, with nothing caught up, is what the gate is there for."""
    ledger = ready_for(State.MIRROR_OFF)
    ledger.write_all()
    take(State.READ_CUTOVER, forward=False)
    with scratch.connect(site) as session:
        session.execute("SET session_replication_role = replica")
        session.execute("UPDATE waffle_switch SET active = false WHERE name = 'prefs_read_tables'")
    with pytest.raises(AssertionError):
        ledger.assert_nothing_is_lost()

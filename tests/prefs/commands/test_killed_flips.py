"""A process killed inside a flip leaves the old state or the new one, and never a lost write."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import pytest

from prefs.engine.flips import TRANSITION_LOCK
from prefs.engine.states import State
from prefs.models import Transition, UserPreferences
from tests.support import scratch
from tests.support.forked import Process
from tests.support.refusals import records
from tests.support.running import run
from tests.support.steps import (
    add_users,
    copy_all,
    differences,
    held_open,
    in_thread,
    state,
    take,
    until,
    value,
    verify_all,
    waiting_for_locks,
)

FINISHERS: dict[str, Callable[[], object]] = {
    "an advance": lambda: take(None),
    "a rollback": lambda: take(None, forward=False),
    "a verification": verify_all,
    "a backfill": copy_all,
}


def in_the_drain(site: str) -> Process:
    process = scratch.start(scratch.environment(site), "advance_prefs")
    until(Transition.objects.exists, 20)
    assert process.poll() is None
    return process


def test_killed_before_it_commits_it_changed_nothing(site: str) -> None:
    before = records()
    with scratch.connect(site) as session:
        session.execute("BEGIN")
        session.execute("SELECT pg_advisory_xact_lock(%s)", [TRANSITION_LOCK])
        with scratch.start(scratch.environment(site), "advance_prefs") as process:
            until(lambda: waiting_for_locks() == 1, 20)
            process.kill()
        session.execute("COMMIT")
    until(
        lambda: (
            value(
                "SELECT count(*) FROM pg_stat_activity WHERE datname ="
                " current_database() AND pid <> pg_backend_pid()"
            )
            == 0
        )
    )
    assert records() == before
    assert run("advance_prefs").status == 0


@pytest.mark.parametrize("finisher", FINISHERS)
def test_killed_in_the_drain_it_is_settled_by_whoever_comes_next(site: str, finisher: str) -> None:
    [user] = add_users({"theme": "dark"})
    copy_all()
    with held_open(lambda: UserPreferences.objects.replace(user, {"theme": "light"})):
        with in_the_drain(site) as process:
            process.kill()
        assert state() is State.DUAL_WRITE
        assert Transition.objects.get().settled_at is None
        assert run("status_prefs", "--json").json["settled"] is False
        next_ = in_thread(FINISHERS[finisher])
        threading.Event().wait(0.15)
        assert not next_.done()
        assert Transition.objects.get().settled_at is None
    next_.result(10)
    assert Transition.objects.order_by("id")[0].settled_at is not None
    assert state() is (State.EXPANDED if finisher == "a rollback" else State.DUAL_WRITE)
    assert differences() == ([] if finisher == "a backfill" else [user])


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_drain_leaves_it_open_for_the_same_command(
    site: str, number: signal.Signals, status: int
) -> None:
    [user] = add_users({"theme": "dark"})
    with held_open(lambda: UserPreferences.objects.replace(user, {"theme": "light"})):
        with in_the_drain(site) as process:
            process.send_signal(number)
            out, _ = process.communicate(timeout=10)
        assert process.returncode == status
        assert "not settled yet. Run the same command again to finish it." in out
        assert Transition.objects.get().settled_at is None
    outcome = run("advance_prefs", "--json")
    assert (outcome.status, outcome.json["settled"]) == (0, True)
    assert (state(), Transition.objects.count()) == (State.DUAL_WRITE, 1)

"""A flip is one transaction: gates, switch and record; a crash leaves either state whole."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise

import pytest
from django.db import connection, transaction

from prefs.engine import flips
from prefs.engine.batches import Control
from prefs.engine.flips import TRANSITION_LOCK, OpenTransition, StateMoved, flip
from prefs.engine.gates import GateRefused
from prefs.engine.states import OutOfOrder, State, edge
from prefs.engine.transitions import plan, take_transition
from prefs.models import Run, Transition
from prefs.routing import SWITCHES
from tests.support.refusals import records
from tests.support.steps import (
    ALIAS,
    SOON,
    add_users,
    copy_all,
    go,
    in_thread,
    rows,
    state,
    take,
    until,
    value,
    verify_all,
    waiting_for_locks,
)

TO_DUAL_WRITE = edge(State.EXPANDED, State.DUAL_WRITE, forward=True)
EVERY_FLIP = [
    (State.EXPANDED, State.DUAL_WRITE),
    (State.DUAL_WRITE, State.READ_CUTOVER),
    (State.READ_CUTOVER, State.MIRROR_OFF),
    (State.MIRROR_OFF, State.READ_CUTOVER),
    (State.READ_CUTOVER, State.DUAL_WRITE),
    (State.DUAL_WRITE, State.EXPANDED),
]


@pytest.mark.slow
def test_the_whole_way_there_and_back_is_on_record(site: str) -> None:
    add_users({"theme": "dark"}, None, [])
    go(State.DROPPED)
    go(State.EXPANDED)
    order = [str(s) for s in State]
    steps = Transition.objects.order_by("id").values_list("from_state", "to_state")
    forward = list(pairwise(order))
    assert list(steps) == forward + [(b, a) for a, b in reversed(forward)]
    assert not Transition.objects.filter(settled_at=None).exists()


@pytest.mark.parametrize(("source", "target"), EVERY_FLIP)
def test_a_flip_writes_one_switch_and_leaves_the_other_row_alone(
    site: str, source: State, target: State
) -> None:
    go(source)
    if target in (State.READ_CUTOVER, State.MIRROR_OFF):
        copy_all() if source is State.DUAL_WRITE else None
        verify_all(repair=True)
        verify_all()
    before = dict(rows("SELECT name, xmin::text FROM waffle_switch"))
    take(target, forward=list(State).index(target) > list(State).index(source))
    after = dict(rows("SELECT name, xmin::text FROM waffle_switch"))
    [changed] = [name for name in SWITCHES if before[name] != after[name]]
    index = SWITCHES.index(changed)
    assert source.route.value[index] != target.route.value[index]
    assert state() is target


def test_gates_switch_and_record_commit_together(site: str) -> None:
    rows(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE 'the record cannot be written'; END$$"
    )
    rows(
        "CREATE TRIGGER fail BEFORE INSERT ON prefs_transition FOR EACH ROW EXECUTE FUNCTION fail()"
    )
    before = records()
    with pytest.raises(Exception, match="the record cannot be written"):
        take(State.DUAL_WRITE)
    assert records() == before
    rows("DROP TRIGGER fail ON prefs_transition")
    taken = flip(TO_DUAL_WRITE, ALIAS, SOON)
    assert value("SELECT xmin::text FROM prefs_transition") == value(
        "SELECT xmin::text FROM waffle_switch WHERE active"
    )
    assert taken.settled_at is None


def test_nobody_sees_the_switch_before_the_flip_commits(site: str) -> None:
    with transaction.atomic():
        flips.begin(TO_DUAL_WRITE, ALIAS, SOON)
        flips.turn(ALIAS, State.DUAL_WRITE)
        assert in_thread(state).result(5) is State.EXPANDED
        transaction.set_rollback(True)
    assert state() is State.EXPANDED


def test_of_two_flips_at_once_one_is_taken_and_the_other_refused(site: str) -> None:
    barrier = threading.Barrier(2)

    def race() -> str:
        barrier.wait(5)
        try:
            flip(TO_DUAL_WRITE, ALIAS, SOON)
        except (StateMoved, OpenTransition) as refused:
            return str(refused)
        return "taken"

    outcomes = [future.result(10) for future in [in_thread(race), in_thread(race)]]
    assert sorted(outcome == "taken" for outcome in outcomes) == [False, True]
    [refused] = [outcome for outcome in outcomes if outcome != "taken"]
    assert "was not taken: the state is dual_write by now" in refused
    assert Transition.objects.count() == 1


def test_the_gates_are_asked_after_the_lock_was_waited_for(site: str) -> None:
    with transaction.atomic():
        rows("SELECT pg_advisory_xact_lock(%s)", TRANSITION_LOCK)
        waiting = in_thread(lambda: flip(TO_DUAL_WRITE, ALIAS, SOON))
        until(lambda: waiting_for_locks() == 1)
        rows("DROP INDEX prefs_email_digest")
    with pytest.raises(GateRefused, match="no index prefs_email_digest"):
        waiting.result(10)
    assert state() is State.EXPANDED


def test_an_open_transition_lets_no_other_begin(site: str) -> None:
    flip(TO_DUAL_WRITE, ALIAS, SOON)
    before = records()
    with pytest.raises(OpenTransition, match=r"expanded to dual_write .* has not settled"):
        flip(edge(State.DUAL_WRITE, State.EXPANDED, forward=False), ALIAS, SOON)
    assert records() == before


def test_advancing_settles_an_open_flip_and_takes_no_second_step(site: str) -> None:
    flip(TO_DUAL_WRITE, ALIAS, SOON)
    assert plan(ALIAS, None, SOON, forward=True).unsettled is not None
    resumed = take(None)
    assert resumed is not None
    assert (resumed.to_state, resumed.settled_at is None) == ("dual_write", False)
    assert (state(), Transition.objects.count()) == (State.DUAL_WRITE, 1)


@pytest.mark.parametrize("target", [None, State.EXPANDED])
def test_rolling_back_settles_an_open_flip_before_it_turns_back(
    site: str, target: State | None
) -> None:
    first = flip(TO_DUAL_WRITE, ALIAS, SOON)
    second = take(target, forward=False)
    assert second is not None
    first.refresh_from_db()
    assert first.settled_at is not None
    assert first.settled_at < second.taken_at
    assert state() is State.EXPANDED


@pytest.mark.parametrize("forward", [True, False])
def test_an_open_way_back_is_settled_and_no_second_step_is_taken(site: str, forward: bool) -> None:
    go(State.DUAL_WRITE)
    flip(edge(State.DUAL_WRITE, State.EXPANDED, forward=False), ALIAS, SOON)
    resumed = take(None, forward=forward)
    assert resumed is not None
    assert (resumed.to_state, resumed.settled_at is None) == ("expanded", False)
    assert state() is State.EXPANDED


@pytest.mark.parametrize("work", [copy_all, verify_all])
def test_a_run_settles_an_open_flip_before_it_begins(site: str, work: Callable[[], Run]) -> None:
    add_users({"theme": "dark"})
    taken = flip(TO_DUAL_WRITE, ALIAS, SOON)
    run = work()
    taken.refresh_from_db()
    assert taken.settled_at is not None
    assert run.started_at > taken.settled_at


def test_settling_twice_keeps_the_first_date(site: str) -> None:
    taken = flip(TO_DUAL_WRITE, ALIAS, SOON)
    flips.settle(taken, ALIAS)
    first = value("SELECT settled_at FROM prefs_transition")
    flips.settle(taken, ALIAS)
    assert value("SELECT settled_at FROM prefs_transition") == first


def test_a_transition_out_of_order_is_refused_and_leaves_no_record(site: str) -> None:
    before = records()
    with pytest.raises(OutOfOrder):
        take_transition(ALIAS, State.READ_CUTOVER, SOON, Control(), forward=True)
    assert records() == before
    assert not connection.in_atomic_block

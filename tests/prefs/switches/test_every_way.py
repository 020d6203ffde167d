"""Whatever hand turns a switch, it is the flip of a transition, or nothing changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db.models.signals import pre_save
from django.test import Client
from waffle import get_waffle_switch_model

from prefs.engine.states import State
from prefs.engine.switches import turn_by_protocol
from prefs.models import Transition
from prefs.routing import DUAL_WRITE, READ_TABLES, SWITCHES
from tests.prefs.switches.turning import WAYS, act, nothing_changes, switch
from tests.support.steps import add_users, copy_all, go, rows, state, verify_all

GATES_MET = [
    (State.EXPANDED, DUAL_WRITE, State.DUAL_WRITE),
    (State.DUAL_WRITE, DUAL_WRITE, State.EXPANDED),
    (State.DUAL_WRITE, READ_TABLES, State.READ_CUTOVER),
    (State.READ_CUTOVER, READ_TABLES, State.DUAL_WRITE),
    (State.MIRROR_OFF, DUAL_WRITE, State.READ_CUTOVER),
]
REFUSED = [
    (
        State.EXPANDED,
        READ_TABLES,
        "the next step is dual_write: turn prefs_dual_write on",
    ),
    (State.DUAL_WRITE, READ_TABLES, "Run `manage.py backfill_prefs`, then `manage.py verify_pref"),
    (State.READ_CUTOVER, DUAL_WRITE, "s of 86400 s in read_cutover. Wait, or change PREFS_CUTOVER"),
    (
        State.MIRROR_OFF,
        READ_TABLES,
        "the next step is read_cutover: turn prefs_dual_write on",
    ),
    (
        State.DROPPED,
        DUAL_WRITE,
        "From dropped the next step is mirror_off: run `manage.py",
    ),
    (
        State.DROPPED,
        READ_TABLES,
        "From dropped the next step is mirror_off: run `manage.py",
    ),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("here", "name", "there"), GATES_MET)
def test_it_takes_the_transition_and_drains(
    admin: Client, here: State, name: str, there: State, way: str
) -> None:
    add_users({"theme": "dark"})
    go(here)
    if there is State.READ_CUTOVER and here is State.DUAL_WRITE:
        copy_all()
        verify_all()
    done, answer = WAYS[way](admin, name, not switch(name).active)
    assert (done, state()) == (True, there), answer
    taken = Transition.objects.latest("id")
    assert (taken.from_state, taken.to_state) == (here, there)
    assert taken.settled_at is not None
    assert all(gate["met"] for gate in taken.gates)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("here", "name", "why"), REFUSED)
def test_it_is_refused_with_what_to_do_and_changes_nothing(
    admin: Client, here: State, name: str, why: str, way: str
) -> None:
    add_users({"theme": "dark"})
    go(here)
    with nothing_changes():
        done, answer = WAYS[way](admin, name, not switch(name).active)
    assert not done
    assert why in answer


@pytest.mark.parametrize("way", WAYS)
def test_turning_it_to_what_it_is_does_nothing(admin: Client, way: str) -> None:
    go(State.DUAL_WRITE)
    for name in SWITCHES:
        assert WAYS[way](admin, name, switch(name).active)[0]
    assert (state(), Transition.objects.count()) == (State.DUAL_WRITE, 1)


@contextmanager
def no_receiver() -> Iterator[None]:
    """The site's process has lost ours: another release, a script without Django's apps."""
    model = get_waffle_switch_model()
    assert pre_save.disconnect(turn_by_protocol, sender=model)
    try:
        yield
    finally:
        pre_save.connect(turn_by_protocol, sender=model)


@pytest.mark.parametrize("name", SWITCHES)
def test_without_the_receiver_the_database_still_refuses(admin: Client, name: str) -> None:
    with nothing_changes(), no_receiver():
        found = switch(name)
        found.active = True
        with pytest.raises(Exception, match="a switch is turned under gates, and drained"):
            found.save()


def test_without_the_receiver_and_the_guard_it_would_pass_ungated(admin: Client) -> None:
    rows("ALTER TABLE waffle_switch DISABLE TRIGGER prefs_guard_switch")
    found = switch(DUAL_WRITE)
    found.active = True
    with no_receiver():
        found.save()
    assert (state(), Transition.objects.count()) == (State.DUAL_WRITE, 0)


def test_two_switches_in_one_transaction_are_refused_as_a_whole(admin: Client) -> None:
    go(State.READ_CUTOVER)
    with nothing_changes():
        done, answer = act(admin, "disable_switches", *SWITCHES)
    assert not done
    assert "Turn one switch at a time." in answer

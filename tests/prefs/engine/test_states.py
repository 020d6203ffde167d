"""The table of transitions is the specification's, and the state is what the database says."""

from __future__ import annotations

from itertools import product

import pytest

from prefs.engine.batches import Control
from prefs.engine.states import EDGES, Action, Gate, OutOfOrder, State, UnknownState, edge
from prefs.engine.transitions import take_transition
from prefs.models import Transition
from prefs.routing import SWITCHES, MissingSwitch, Route
from tests.support.steps import ALIAS, SOON, edges_of, state, take
from tests.support.tampering import drop_column, remove_switches, turn

EXPANDED, DUAL_WRITE, READ_CUTOVER, MIRROR_OFF, DROPPED = State

SOUND = (
    Gate.TABLES_INTACT,
    Gate.TRIGGERS_INTACT,
    Gate.SUPPORTED_TABLES,
    Gate.RIGHTS,
    Gate.SEES_EVERYBODY,
    Gate.READ_COMMITTED,
    Gate.DURABLE_COMMITS,
    Gate.NO_LOGICAL_APPLY,
)
TABLE = [
    (EXPANDED, DUAL_WRITE, Action.FLIP, SOUND),
    (DUAL_WRITE, READ_CUTOVER, Action.FLIP, (*SOUND, Gate.VERIFIED, Gate.SITE_TRIGGERS)),
    (
        READ_CUTOVER,
        MIRROR_OFF,
        Action.FLIP,
        (
            *SOUND,
            Gate.VERIFIED,
            Gate.CUTOVER_SOAK,
            Gate.NO_PREVIOUS_RELEASE,
            Gate.NOTHING_DEPENDS,
            Gate.NO_CODE_NAMES_COLUMN,
        ),
    ),
    (
        MIRROR_OFF,
        DROPPED,
        Action.DROP,
        (
            *SOUND,
            Gate.CONTRACT_SOAK,
            Gate.NO_UNKNOWN_SESSION,
            Gate.NOTHING_DEPENDS,
            Gate.ARCHIVE_FITS,
        ),
    ),
    (DROPPED, MIRROR_OFF, Action.RESTORE, ()),
    (MIRROR_OFF, READ_CUTOVER, Action.FLIP, (Gate.COLUMN_EXISTS, Gate.TRIGGERS_INTACT)),
    (READ_CUTOVER, DUAL_WRITE, Action.FLIP, (Gate.VERIFIED_SINCE_MIRROR,)),
    (DUAL_WRITE, EXPANDED, Action.FLIP, ()),
    (
        EXPANDED,
        DROPPED,
        Action.CONTRACT_EMPTY,
        (*SOUND, Gate.NO_USERS, Gate.NOTHING_DEPENDS),
    ),
]
ABSENT = [
    (source, target, forward)
    for source, target, forward in product(State, State, (True, False))
    if source is not target
    and (source, target, forward) not in {(e.source, e.target, e.forward) for e in EDGES}
]


def test_the_table_of_transitions_is_the_specification() -> None:
    assert [(e.source, e.target, e.action, e.gates) for e in EDGES] == TABLE


def test_what_a_site_must_be_in_is_asked_at_every_step_forward() -> None:
    """Case B10."""
    for taken in EDGES:
        assert taken.gates[: len(SOUND)] == SOUND or not taken.forward


def test_what_depends_on_the_column_is_let_pass_before_it_stands_still_and_no_later() -> None:
    """Case B8."""
    for taken in EDGES:
        if Gate.NOTHING_DEPENDS in taken.gates:
            may = Gate.NOTHING_DEPENDS in taken.overridable
            assert may is (taken.target is MIRROR_OFF)
        assert not {Gate.NO_USERS, Gate.COLUMN_EXISTS} & set(taken.overridable)


def test_a_flip_changes_one_switch() -> None:
    for taken in EDGES:
        pairs = zip(taken.source.route.value, taken.target.route.value, strict=True)
        changed = sum(before != after for before, after in pairs)
        assert changed == {Action.FLIP: 1, Action.CONTRACT_EMPTY: 1}.get(taken.action, 0)


def test_without_a_target_the_next_state_in_that_direction_is_taken() -> None:
    for number, source in enumerate(State):
        for forward, index in ((True, number + 1), (False, number - 1)):
            if 0 <= index < len(State):
                assert edge(source, None, forward=forward).target is list(State)[index]
    for source, forward in ((DROPPED, True), (EXPANDED, False)):
        with pytest.raises(OutOfOrder, match="there is nothing to"):
            edge(source, None, forward=forward)


@pytest.mark.parametrize(("source", "target", "forward"), ABSENT)
def test_any_other_transition_is_refused_and_names_what_can_be_reached(
    source: State, target: State, forward: bool
) -> None:
    with pytest.raises(OutOfOrder) as refused:
        edge(source, target, forward=forward)
    message = str(refused.value)
    assert f"from {source} to {target}" in message
    for reachable in edges_of(source):
        if edge_is_forward(source, reachable) is forward:
            assert message.split("can go to")[1].count(reachable) == 1
    assert ("advance_prefs" if forward else "rollback_prefs") in message


def edge_is_forward(source: State, target: State) -> bool:
    return list(State).index(target) > list(State).index(source)


@pytest.mark.parametrize("target", [READ_CUTOVER, MIRROR_OFF])
def test_the_blob_route_never_goes_to_the_tables_directly(site: str, target: State) -> None:
    with pytest.raises(OutOfOrder, match="it can go to dual_write or dropped"):
        take(target)
    assert (state(), Transition.objects.count()) == (EXPANDED, 0)


@pytest.mark.parametrize("found", list(State))
def test_the_state_is_what_switches_and_column_say(site: str, found: State) -> None:
    turn(found.route)
    if found is DROPPED:
        drop_column()
    assert state() is found


@pytest.mark.parametrize("route", [Route.BLOB, Route.BLOB_MIRRORED, Route.TABLES_MIRRORED])
def test_a_route_to_a_column_that_is_gone_is_an_error(site: str, route: Route) -> None:
    turn(route)
    drop_column()
    with pytest.raises(UnknownState, match=f"{route.name}, but the column"):
        state()


@pytest.mark.parametrize("name", SWITCHES)
def test_a_missing_switch_is_an_error_and_never_off(site: str, name: str) -> None:
    remove_switches(name)
    with pytest.raises(MissingSwitch, match=f"{name} is missing.*status_prefs"):
        state()
    with pytest.raises(MissingSwitch):
        take_transition(ALIAS, None, SOON, Control(), forward=True)
    assert not Transition.objects.exists()


def test_a_transition_to_the_state_that_is_there_does_nothing(site: str) -> None:
    assert take(EXPANDED) is None
    assert take(EXPANDED, forward=False) is None
    assert not Transition.objects.exists()

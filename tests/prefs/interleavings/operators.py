"""The parts of an operator and of background work, by the engine's own functions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Any

from django.db import IntegrityError, connection, transaction

from prefs.ddl import sqlstate
from prefs.engine import backfill, canary, flips, transitions
from prefs.engine.batches import Control
from prefs.engine.repair import Direction
from prefs.engine.sight import UsersHidden
from prefs.engine.states import State, current_state, edge
from prefs.engine.verification import verify
from prefs.models import Run
from prefs.routing import CANARY
from prefs.sql import shadow
from tests.prefs.interleavings.parts import Did, Part
from tests.prefs.interleavings.play import DrainClock, each_statement, pause
from tests.prefs.interleavings.world import FIRST
from tests.support import roles
from tests.support.steps import ALIAS, ORDER, SOON
from tests.support.stores import query
from tests.support.tampering import behind_their_backs

_EVERYBODY = {"after": None, "upto": 10_000}
REFUSED = "GateRefused"
MOVED_ON = "PrimaryMoved"
# A person who was deleted while they were copied: background work tries again.
NO_SUCH_KEY = "23503"
FASTER = "23505"


def flip(target: State) -> None:
    """Turn the switch under the gates, as they are now."""
    source = current_state(ALIAS)
    forward = ORDER.index(target) > ORDER.index(source)
    flips.flip(edge(source, target, forward=forward), ALIAS, SOON)


def drain() -> None:
    """Drain the flip that is open, and settle it."""
    transitions.settle_open_flip(ALIAS, Control(clock=DrainClock()))


def flip_and_drain(target: State) -> None:
    """A transition, in two steps."""
    flip(target)
    pause()
    drain()


def _batch(phase: Run.Phase, cursor: Any, direction: Direction) -> None:
    """A batch of a backfill, over everybody."""
    task = backfill._Backfill(ALIAS, SOON, Control(), direction)
    task.batch(phase, cursor, _EVERYBODY["after"], _EVERYBODY["upto"])


def catch_up(direction: Direction) -> None:
    """One batch of a catch-up, over everybody."""
    with transaction.atomic(), connection.cursor() as cursor, each_statement():
        _batch(Run.Phase.CATCH_UP, cursor, direction)


def _whole_way(mirrored: State, direction: Direction, primary: State) -> Callable[[Did], None]:
    def act(did: Did) -> None:
        flip_and_drain(mirrored)
        pause()
        catch_up(direction)
        pause()
        verify(ALIAS, SOON, Control(clock=DrainClock()))
        pause()
        flip_and_drain(primary)

    return act


FORWARD = Part(
    name="forward",
    steps=8,
    act=_whole_way(State.DUAL_WRITE, Direction.FORWARD, State.READ_CUTOVER),
)
BACK = Part(
    name="back",
    steps=9,
    act=_whole_way(State.READ_CUTOVER, Direction.REVERSE, State.DUAL_WRITE),
)
END = {FORWARD.name: State.READ_CUTOVER, BACK.name: State.DUAL_WRITE}


def _hasty(did: Did) -> None:
    flip_and_drain(State.DUAL_WRITE)
    pause()
    flip_and_drain(State.READ_CUTOVER)


HASTY = Part(name="hasty", steps=4, act=_hasty, may_raise=(REFUSED,))


def _careful(did: Did) -> None:
    flip_and_drain(State.DUAL_WRITE)
    pause()
    verify(ALIAS, SOON, Control(clock=DrainClock()))


CAREFUL = Part(name="careful", steps=3, act=_careful)


def turning(target: State) -> Part:
    """One flip and its drain."""
    return Part(name=f"flip to {target}", steps=2, act=lambda did: flip_and_drain(target))


def set_canary(percent: int) -> None:
    """Turn the canary under its gates, as they are now."""
    canary.turn(ALIAS, CANARY, Decimal(percent), SOON)


def _there_and_back(did: Did) -> None:
    set_canary(100)
    pause()
    flip_and_drain(State.EXPANDED)
    pause()
    flip_and_drain(State.DUAL_WRITE)


THERE_AND_BACK = Part(name="there and back", steps=5, act=_there_and_back)


def _up_and_down(did: Did) -> None:
    set_canary(100)
    pause()
    set_canary(0)


UP_AND_DOWN = Part(name="up and down", steps=2, act=_up_and_down)


def _up_and_over(did: Did) -> None:
    set_canary(100)
    pause()
    flip_and_drain(State.READ_CUTOVER)


UP_AND_OVER = Part(name="up and over", steps=3, act=_up_and_over)


def _slowly_up(did: Did) -> None:
    with transaction.atomic():
        set_canary(100)
        pause()


SLOWLY_UP = Part(name="slowly up", steps=2, act=_slowly_up, may_raise=(REFUSED,))


def _mismatch(did: Did) -> None:
    """Somebody damages a mirror past the guards, and then a shadow read tells of it."""
    with behind_their_backs():
        query(f"UPDATE user_preferences SET theme = 'light' WHERE user_id = {FIRST}")
    did(lambda world: setattr(world, "damaged", True))
    pause()
    given = {"user": FIRST, "leaves": '["theme"]', "blob": "", "tables": ""}
    query(shadow.note(), given)
    did(lambda world: setattr(world, "damaged", False))


MISMATCH = Part(name="mismatch", steps=2, act=_mismatch)


def _copy(did: Did) -> None:
    try:
        _copy_once()
    except IntegrityError as error:
        if sqlstate(error) != FASTER:
            raise
        # As a backfill does: what broke the statement is there now, and is left alone.
        _copy_once()


def _copy_once() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        _batch(Run.Phase.COPY, cursor, Direction.FORWARD)
        pause()


COPY = Part(name="copy", steps=2, act=_copy, may_raise=(MOVED_ON, NO_SUCH_KEY))


def repairing(direction: Direction) -> Part:
    """One batch of a catch-up or a repair."""
    steps = 3 if direction is Direction.FORWARD else 4
    return Part(
        name="repair", steps=steps, act=lambda did: catch_up(direction), may_raise=(MOVED_ON,)
    )


def _verification(did: Did) -> None:
    def compared(*_: Any) -> None:
        pause()

    verify(ALIAS, SOON, Control(clock=DrainClock(), progress=compared))


class LetThrough(Exception):
    """A run over everybody by a role that sees a part of them."""


def _tenant(did: Did) -> None:
    """A role from which a policy hides everybody copies them, and verifies that they are copied."""
    let_through: list[str] = []
    with roles.role("tenant") as role:
        roles.hide_users(role, "false")
        query(f"SET ROLE {role}")
        control = Control(clock=DrainClock())
        for run in (
            partial(backfill.backfill, ALIAS, Direction.FORWARD, SOON, control),
            partial(verify, ALIAS, SOON, control),
        ):
            with suppress(UsersHidden):
                let_through.append(str(run()))
        query("RESET ROLE")
        roles.show_users(role)
    if let_through:
        raise LetThrough(", ".join(let_through))


TENANT = Part(name="tenant", steps=1, act=_tenant)


VERIFICATION = Part(name="verification", steps=2, act=_verification)

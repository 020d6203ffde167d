"""The orders are all there; what waits is seen to wait, and goes on when it can."""

from __future__ import annotations

from functools import partial

import pytest
from django.db import transaction

from prefs.engine.states import State
from tests.prefs.interleavings import operators as ops
from tests.prefs.interleavings import parts
from tests.prefs.interleavings.orders import chosen, count, every
from tests.prefs.interleavings.play import Stage, Work, pause
from tests.prefs.interleavings.scenario import Scenario
from tests.prefs.interleavings.scene import Scene
from tests.support.stores import query

SCENE = Scene(State.EXPANDED)


def locking(*keys: int, prepared: bool = False) -> None:
    """Lock one user after the other, and commit."""
    with transaction.atomic():
        for key in keys:
            query(f"UPDATE accounts_user SET last_name = 'x' WHERE id = {key}")
            pause()
        if prepared:
            query("PREPARE TRANSACTION 'played'")
    if prepared:
        pause()
        query("COMMIT PREPARED 'played'")


@pytest.fixture
def begun(stage: Stage) -> Stage:
    """A stage whose scene is made."""
    SCENE.prepare()
    SCENE.make()
    return stage


def test_the_orders_are_all_there_once_and_keep_each_part_s_own() -> None:
    found = list(every([3, 2, 1]))
    assert len(found) == len(set(found)) == count([3, 2, 1]) == 60
    assert found == sorted(found)
    assert all(sorted(order) == [0, 0, 0, 1, 1, 2] for order in found)


def test_a_sample_is_the_same_every_time_and_part_of_them() -> None:
    samples = [list(chosen([3, 3, 3], 500, 40)) for _ in range(2)]
    assert samples[0] == samples[1]
    assert len(set(samples[0])) == 40
    assert set(samples[0]) < set(every([3, 3, 3]))


@pytest.mark.parametrize(
    ("works", "order", "kept"),
    [
        ([partial(locking, 1), partial(locking, 1)], (0, 0, 1, 1), None),
        ([partial(locking, 1), partial(locking, 1)], (0, 1, 0, 1), None),
        ([partial(locking, 1), partial(locking, 1)], (0, 1, 1, 0), 2),
        ([partial(locking, 1), partial(locking, 2)], (0, 1, 1, 0), None),
        ([partial(locking, 1, prepared=True), partial(locking, 1)], (0, 0, 1, 0, 1), None),
        ([partial(locking, 1, prepared=True), partial(locking, 1)], (0, 0, 1, 1, 0), 3),
    ],
)
def test_a_step_that_waits_is_seen_and_awaited(
    begun: Stage, works: list[Work], order: tuple[int, ...], kept: int | None
) -> None:
    played = begun.play(works, order)
    assert played.errors == [None, None]
    assert (played.kept, played.waited) == (kept, kept is not None)


def test_a_drain_waits_for_whoever_writes_by_the_old_route(begun: Stage) -> None:
    works = [partial(part.act, print) for part in (parts.merge, ops.turning(State.DUAL_WRITE))]
    assert begun.play(works, (0, 1, 1, 0, 0)).kept is None
    SCENE.make()
    assert begun.play(works, (1, 0, 1, 0, 0)).kept is None
    SCENE.make()
    order = (0, 1, 1, 1, 0, 0)
    played = begun.play(works, order)
    assert (played.kept, played.waited) == (3, True)
    assert played.errors == [None, None]


def test_a_deadlock_is_a_fault(begun: Stage) -> None:
    crossing = [
        parts.Part(name="up", steps=3, act=lambda did: locking(1, 2)),
        parts.Part(name="down", steps=3, act=lambda did: locking(2, 1)),
    ]
    scenario = Scenario(name="crossing", scene=SCENE, parts=crossing, ends=(State.EXPANDED,))
    [wrong] = scenario.play(begun).wrong
    assert "deadlock detected" in wrong

"""A transaction that is open across a flip writes by the old route, then by the new one."""

from __future__ import annotations

import threading
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from django.db import transaction

from prefs.engine.repair import Direction
from prefs.engine.states import State, current_state
from prefs.models import Transition, UserPreferences
from prefs.routing import Route
from tests.prefs.callers.writing import every_write
from tests.support.steps import (
    ALIAS,
    ORDER,
    add_users,
    differences,
    go,
    in_thread,
    run_once,
    state,
    take,
    until,
    verify_all,
)

FLIPPED = ORDER[: ORDER.index(State.DROPPED)]
FLIPS = [*pairwise(FLIPPED), *pairwise(reversed(FLIPPED))]
BEFORE = {"theme": "light"}


class Caller:
    """One who writes, waits for a word, and writes again before the commit."""

    def __init__(self, user: int, write: Any) -> None:
        self.wrote, self.go_on = threading.Event(), threading.Event()
        self.done = in_thread(partial(self._work, user, write))
        until(lambda: self.wrote.is_set() or self.done.done())

    def _work(self, user: int, write: Any) -> None:
        with transaction.atomic():
            write(user, {"by the old route": 1, "theme": "dark"})
            self.wrote.set()
            assert self.go_on.wait(30)
            write(user, {"by the new route": 2, "language": "de"})

    def finish(self) -> None:
        self.go_on.set()
        self.done.result(30)


def flipped_around(caller: Caller, target: State) -> None:
    """Take the flip while the caller is between its writes; the drain waits for it."""
    before = Transition.objects.count()
    forward = ORDER.index(target) > ORDER.index(state())
    flip = in_thread(partial(take, target, forward=forward))
    until(lambda: Transition.objects.count() > before or flip.done())
    assert not flip.done()
    caller.finish()
    taken = flip.result(30)
    assert taken is not None
    assert taken.settled_at is not None


def catch_up() -> Route:
    """Make the mirror true, where there is one; the route."""
    route = current_state(ALIAS).route
    if route.mirrored:
        run_once(Direction.of(route))
        assert differences() == []
    return route


@every_write
@pytest.mark.parametrize(("source", "target"), FLIPS, ids=str)
def test_nothing_is_lost_of_a_transaction_that_a_flip_found_open(
    site: str, source: State, target: State, write: Any
) -> None:
    [user] = add_users(BEFORE)
    go(source)
    if source.route.mirrored:
        catch_up()
        verify_all()
    flipped_around(Caller(user, write), target)
    expected = {"by the old route": 1, "by the new route": 2, "theme": "dark", "language": "de"}
    assert UserPreferences.objects.document(user) == expected
    # What the other store holds is what is read after the next flip, either way.
    if catch_up().mirrored:
        read_tables = not current_state(ALIAS).route.reads_tables
        go(State.READ_CUTOVER if read_tables else State.DUAL_WRITE)
        assert UserPreferences.objects.document(user) == expected

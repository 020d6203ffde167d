"""A process of each release on one migrated database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from pytest_django import DjangoDbBlocker

from prefs.engine.states import State
from tests.previous_release.processes import Worker, previous_release, this_release
from tests.support import scratch
from tests.support.databases import copies, site
from tests.support.steps import rows
from tests.support.tampering import turn

__all__ = ["copies", "site"]


@dataclass(frozen=True, kw_only=True)
class Releases:
    """Both releases, running on one database."""

    database: str
    previous: Worker
    current: Worker


@pytest.fixture(scope="module")
def both(copies: scratch.Copies, django_db_blocker: DjangoDbBlocker) -> Iterator[Releases]:
    """A process of each, for all tests of a module: what they leave is users."""
    with django_db_blocker.unblock(), copies.one() as name, scratch.pointed_at(name):
        with previous_release(name) as previous, this_release(name) as current:
            yield Releases(database=name, previous=previous, current=current)
        rows("DELETE FROM django_admin_log")


@pytest.fixture(params=[State.EXPANDED, State.DUAL_WRITE, State.READ_CUTOVER])
def state(request: pytest.FixtureRequest, both: Releases) -> State:
    """Each state in which both releases run, entered."""
    chosen: State = request.param
    turn(chosen.route)
    return chosen

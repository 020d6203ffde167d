"""A rolling deploy with real processes: the previous release, both, this one, and all the way back.

Clients of whatever runs write all the time, through `migrate` and every transition, which are
processes of manage.py. Nothing that was acknowledged to any of them is ever missed by a
reader of the other release, nor by anyone at the end.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from pytest_django import DjangoDbBlocker

from prefs.engine.states import State
from tests.previous_release.deploy import Deploy, deploy
from tests.support import scratch
from tests.support.steps import state, value


@pytest.fixture
def unexpanded(django_db_blocker: DjangoDbBlocker) -> Iterator[Deploy]:
    """The site as the previous release left it: none of this project's tables is there."""
    with (
        django_db_blocker.unblock(),
        scratch.database() as name,
        scratch.pointed_at(name),
    ):
        for app, *target in (("accounts", "0001"), ("admin",), ("sessions",)):
            call_command("migrate", app, *target, verbosity=0)
        with deploy(name) as made:
            yield made


def forward(site: Deploy) -> None:
    """The previous release alone, then both, then this release alone."""
    site.start(site.previous)
    assert site.lost() == []
    assert "prefs.0005_triggers" in site.manage("migrate")
    assert site.lost() == []
    site.start(site.current)
    assert site.lost() == []
    site.manage("advance_prefs", "--to", State.DUAL_WRITE)
    assert site.lost() == []
    site.manage("backfill_prefs")
    site.manage("verify_prefs")
    site.manage("advance_prefs", "--to", State.READ_CUTOVER)
    assert site.lost() == []
    site.manage("verify_prefs")
    site.stop(site.previous)
    for target in (State.MIRROR_OFF, State.DROPPED):
        site.manage("advance_prefs", "--to", target, "--noinput")
        assert site.lost() == []


def backward(site: Deploy) -> None:
    """This release alone until the blob is true again, then both, then the previous alone."""
    for target in (State.MIRROR_OFF, State.READ_CUTOVER):
        site.manage("rollback_prefs", "--to", target)
        assert site.lost() == []
    # Until here the blob is an old one, which the previous release would read and write back.
    site.manage("backfill_prefs", "--reverse")
    site.manage("verify_prefs")
    site.start(site.previous)
    assert site.lost() == []
    for target in (State.DUAL_WRITE, State.EXPANDED):
        site.manage("rollback_prefs", "--to", target)
        assert site.lost() == []
    site.stop(site.current)
    assert site.lost() == []
    site.manage("migrate", "prefs", "zero")
    site.manage("migrate", "accounts", "0001")
    assert site.lost() == []


def test_nothing_acknowledged_is_lost_on_the_way_there_and_back(unexpanded: Deploy) -> None:
    forward(unexpanded)
    assert state() is State.DROPPED
    backward(unexpanded)
    assert value("SELECT to_regclass('user_preferences')") is None

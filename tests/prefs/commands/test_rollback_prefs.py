"""rollback_prefs goes back one state at a time and loses nothing that was written since."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pytest_django import Settings as DjangoSettings

from prefs.engine.states import State
from prefs.models import Transition, UserPreferences
from tests.support.running import run
from tests.support.steps import add_users, blob_texts, go, state


@pytest.fixture(autouse=True)
def _soon(settings: DjangoSettings) -> None:
    settings.PREFS_CUTOVER_SOAK = settings.PREFS_CONTRACT_SOAK = timedelta(0)


@pytest.mark.slow
def test_it_goes_all_the_way_back(site: str) -> None:
    [user, _] = add_users({"theme": "dark"}, None)
    go(State.DROPPED)
    UserPreferences.objects.merge(user, {"x": 1.0})
    for target in reversed(list(State)[:-1]):
        if target is State.DUAL_WRITE:
            refused = run("rollback_prefs")
            assert refused.status == 4
            assert "verified_since_mirror: run" in refused.err
            assert "Run `manage.py backfill_prefs --reverse`, then" in refused.err
            assert run("backfill_prefs", "--reverse").status == 0
            assert run("verify_prefs").status == 0
        outcome = run("rollback_prefs", "--json")
        assert (outcome.status, outcome.json["state"]) == (0, target)
        assert state() is target
    assert blob_texts() == ['{"x": 1.0, "theme": "dark"}', None]
    assert run("rollback_prefs").status == 4


def test_the_way_back_is_open_at_once_after_the_cutover(site: str) -> None:
    add_users({"theme": "dark"})
    go(State.READ_CUTOVER)
    outcome = run("rollback_prefs")
    assert outcome.status == 0
    assert outcome.out.startswith("read_cutover to dual_write: done, settled in ")


@pytest.mark.parametrize("target", ["expanded", "dual_write"])
def test_two_steps_at_once_are_refused(site: str, target: str) -> None:
    go(State.MIRROR_OFF)
    before = Transition.objects.count()
    outcome = run("rollback_prefs", "--to", target)
    assert outcome.status == 4
    assert "From mirror_off it can go to read_cutover (manage.py rollback_prefs" in outcome.err
    assert (state(), Transition.objects.count()) == (State.MIRROR_OFF, before)


def test_a_dry_run_of_a_restore_restores_nothing(site: str) -> None:
    go(State.DROPPED)
    outcome = run("rollback_prefs", "--dry-run")
    assert outcome.status == 0
    assert outcome.out == (
        "dropped to mirror_off: restore the column and fill it from the tables\n"
    )
    assert state() is State.DROPPED

"""Every scenario ends as it must, in every order."""

from __future__ import annotations

import pytest

from tests.prefs.interleavings.killed import killed_at_every_statement
from tests.prefs.interleavings.play import Stage
from tests.prefs.interleavings.scenarios import SCENARIOS


@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_lost_in_any_order(stage: Stage, name: str) -> None:
    outcome = SCENARIOS[name].play(stage)
    assert not outcome.wrong, str(outcome)
    assert outcome.played


@pytest.mark.slow
def test_a_backfill_killed_at_any_statement_resumes_where_it_was(stage: Stage) -> None:
    found = killed_at_every_statement()
    assert not found.wrong, str(found)
    assert found.kills > 20

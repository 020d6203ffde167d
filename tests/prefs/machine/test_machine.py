"""Three hundred runs of fifty steps: after each, everybody reads what the dictionary says."""

from __future__ import annotations

import pytest

from prefs.engine.states import State
from tests.prefs.machine.machine import THOROUGH, run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_soak")]


@pytest.mark.parametrize("start", State)
def test_every_writer_in_every_route_across_every_transition(site: str, start: State) -> None:
    run(site, start, THOROUGH)

"""Three hundred runs of fifty steps: after each, everybody reads what the dictionary says."""

from __future__ import annotations

import pytest

from tests.prefs.machine.machine import THOROUGH, run

pytestmark = pytest.mark.usefixtures("no_soak")


def test_every_writer_in_every_route_across_every_transition(site: str) -> None:
    run(site, THOROUGH)

"""Each broken protocol is caught by the scenarios that it names.

So none of them can come back unseen, and no scenario is one that cannot fail. `pytest -rP` says in
which order each is caught, and after how many.
"""

from __future__ import annotations

import sys

import pytest

from tests.prefs.interleavings.killed import killed_at_every_statement
from tests.prefs.interleavings.play import Stage
from tests.prefs.interleavings.protocols import KILLED
from tests.prefs.interleavings.registry import PROTOCOLS
from tests.prefs.interleavings.scenarios import SCENARIOS

CAUGHT = [
    pytest.param(name, where, marks=[pytest.mark.slow] if where == KILLED else [])
    for name, protocol in PROTOCOLS.items()
    for where in protocol.caught_in
]


@pytest.mark.parametrize(("name", "where"), CAUGHT)
def test_a_broken_protocol_is_caught(stage: Stage, name: str, where: str) -> None:
    with PROTOCOLS[name].patch():
        found = killed_at_every_statement() if where == KILLED else SCENARIOS[where].play(stage)
    sys.stdout.write(f"{name}: {found}\n")
    assert found.wrong, f"{name} survived {where}"

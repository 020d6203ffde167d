"""A database for a test's plays, and the stage on which they are played."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from prefs.engine import gates
from prefs.engine.states import Gate
from tests.prefs.callers.reaching import reached
from tests.prefs.engine.conftest import copies, site
from tests.prefs.interleavings.play import Stage

__all__ = ["copies", "site", "stage"]

# What these ask is not changed by any play; they take longer than everything else in it.
_ASKED_ONCE = (
    Gate.TABLES_INTACT,
    Gate.TRIGGERS_INTACT,
    Gate.READ_COMMITTED,
    Gate.DURABLE_COMMITS,
    Gate.NO_LOGICAL_APPLY,
)


@pytest.fixture
def stage(site: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A stage; its sessions prepare their statements, which saves planning them in each order."""
    with reached(OPTIONS={"server_side_binding": True, "prepare_threshold": 0}):
        inquiry = gates.Inquiry(alias="default", settings=gates.Settings())
        for gate in _ASKED_ONCE:
            finding = gates._GATES[gate](inquiry)
            monkeypatch.setitem(gates._GATES, gate, lambda _, finding=finding: finding)
        made = Stage()
        yield made
        made.close()

"""The database of a module's plays, and the stage on which they are played."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from pytest_django import DjangoDbBlocker

from prefs.conf import Settings
from prefs.engine.conditions import CONDITIONS
from prefs.engine.findings import Finding, Inquiry
from prefs.engine.states import Gate
from tests.prefs.interleavings.play import Stage
from tests.support import scratch, site_triggers
from tests.support.databases import copies
from tests.support.reaching import reached
from tests.support.steps import ALIAS

__all__ = ["copies", "stage"]

# What these ask is changed by no play, and asking takes longer than all the rest of it.
_ASKED_ONCE = (
    Gate.TABLES_INTACT,
    Gate.TRIGGERS_INTACT,
    Gate.READ_COMMITTED,
    Gate.DURABLE_COMMITS,
    Gate.NO_LOGICAL_APPLY,
    Gate.SITE_TRIGGERS,
    Gate.NOTHING_DEPENDS,
    Gate.NO_CODE_NAMES_COLUMN,
)
# Prepared statements save planning them anew in every order.
_PREPARED = {"server_side_binding": True, "prepare_threshold": 0}


def _always(finding: Finding) -> Callable[[Inquiry], Finding]:
    return lambda inquiry: finding


@pytest.fixture(scope="module")
def stage(copies: scratch.Copies, django_db_blocker: DjangoDbBlocker) -> Iterator[Stage]:
    """A stage in a database of its own."""
    with (
        django_db_blocker.unblock(),
        copies.one() as name,
        scratch.pointed_at(name),
        reached(OPTIONS=_PREPARED),
        pytest.MonkeyPatch.context() as monkeypatch,
    ):
        inquiry = Inquiry(alias=ALIAS, settings=Settings())
        for gate in _ASKED_ONCE:
            monkeypatch.setitem(CONDITIONS, gate, _always(CONDITIONS[gate](inquiry)))
        site_triggers.stamp_who_asks()
        made = Stage()
        yield made
        made.close()

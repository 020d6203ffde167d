"""What a gate that is unmet must do: say so, say what meets it, and let nothing happen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import transaction

from prefs.conf import Settings
from prefs.engine.findings import Finding, Inquiry
from prefs.engine.gates import GateRefused, evaluate
from prefs.engine.states import Gate, State, edge
from prefs.models import Transition
from tests.support.steps import ALIAS, ORDER, SOON, rows, state, take


@contextmanager
def undone() -> Iterator[None]:
    """What the block does to the database (to roles of the server, say) is rolled back."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


_SECONDS = re.compile(r"\b\d+ s\b")


def finding(gate: Gate, target: State, settings: Settings = SOON) -> Finding:
    """What one gate of the transition to `target` finds now."""
    here = state()
    chosen = edge(here, target, forward=ORDER.index(target) > ORDER.index(here))
    return next(
        f for f in evaluate(chosen, Inquiry(alias=ALIAS, settings=settings)) if f.gate is gate
    )


def records() -> list[tuple[object, ...]]:
    """Everything that a transition would change."""
    return [
        *Transition.objects.order_by("id").values_list(),
        *rows("SELECT name, active FROM waffle_switch ORDER BY name"),
        *rows(
            "SELECT attname, atttypid, attnotnull FROM pg_attribute"
            " WHERE attrelid = 'accounts_user'::regclass AND NOT attisdropped ORDER BY attnum"
        ),
    ]


def assert_refused(gate: Gate, target: State, *said: str, settings: Settings = SOON) -> None:
    """The gate is unmet and says `said`; the transition is refused and changes nothing."""
    found = finding(gate, target, settings)
    assert not found.met
    for words in said:
        assert words in found.found
    before, forward = records(), ORDER.index(target) > ORDER.index(state())
    with pytest.raises(GateRefused) as refused:
        take(target, settings, forward=forward)
    message = str(refused.value)
    # A second may have passed between the two.
    assert _SECONDS.sub("n s", f"  {gate}: {found.found[:40]}") in _SECONDS.sub("n s", message)
    assert found.remedy
    assert found.remedy in message
    assert records() == before

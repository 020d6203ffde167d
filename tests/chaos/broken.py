"""The broken protocols of the interleavings, for a whole run: the harness must see each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from prefs.engine import gates
from prefs.engine.conditions import CONDITIONS
from prefs.engine.findings import Finding, Inquiry
from prefs.engine.states import Gate
from tests.prefs.interleavings.protocols import replaced
from tests.prefs.interleavings.registry import PROTOCOLS
from tests.support.stores import query

# Gates on what stands in the database, each of which would catch some of them by itself.
_BLINDED = (Gate.TABLES_INTACT, Gate.TRIGGERS_INTACT)


def _blind(gate: Gate, inquiry: Inquiry) -> Finding:
    """A gate as it would be if it saw nothing."""
    return Finding(gate=gate, met=True, found="not looked at")


@contextmanager
def _broken(name: str) -> Iterator[None]:
    blinded = {**CONDITIONS, **{gate: partial(_blind, gate) for gate in _BLINDED}}
    with replaced("CONDITIONS", blinded, gates), PROTOCOLS[name].patch():
        try:
            yield
        finally:
            # Trigger functions are put right with the search path that the migration gave them.
            query("""SELECT set_config('search_path', '"$user", public, pg_temp', false)""")


def broken(name: str) -> Callable[[], AbstractContextManager[None]]:
    """What breaks the protocol of that name for as long as it is entered."""
    if name not in PROTOCOLS:
        raise SystemExit(f"{name!r} is no broken protocol; expected one of {', '.join(PROTOCOLS)}.")
    return partial(_broken, name)

"""The broken protocols of the interleavings, for a whole run: the harness must see each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from prefs.engine import gates
from prefs.engine.conditions import CONDITIONS
from prefs.engine.findings import Finding, Inquiry
from prefs.engine.states import Gate
from tests.prefs.interleavings.protocols import replaced
from tests.prefs.interleavings.registry import PROTOCOLS


def _blind(inquiry: Inquiry) -> Finding:
    """The gate on triggers as it would be if it saw nothing: it would catch those by itself."""
    return Finding(gate=Gate.TRIGGERS_INTACT, met=True, found="not looked at")


@contextmanager
def _broken(name: str) -> Iterator[None]:
    blinded = {**CONDITIONS, Gate.TRIGGERS_INTACT: _blind}
    with replaced("CONDITIONS", blinded, gates), PROTOCOLS[name].patch():
        yield


def broken(name: str | None) -> Callable[[], AbstractContextManager[None]]:
    """What breaks the protocol of that name for as long as it is entered; nothing for None."""
    if name is None:
        return nullcontext
    if name not in PROTOCOLS:
        raise SystemExit(f"{name!r} is no broken protocol; expected one of {', '.join(PROTOCOLS)}.")
    return partial(_broken, name)

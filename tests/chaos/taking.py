"""How the harness's operators take transitions: at once, and answering for their site."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from django.db import DEFAULT_DB_ALIAS as ALIAS

from prefs import conf
from prefs.engine.audit import Signature, acting_as
from prefs.engine.batches import Control
from prefs.engine.states import EDGES, State
from prefs.engine.transitions import take_transition
from tests.chaos.stamper import OVERRIDES

NO_TIME = timedelta(0)
SIGNATURE = Signature(actor="chaos", reason="the harness")
SETTINGS = replace(
    conf.Settings(),
    cutover_soak=NO_TIME,
    contract_soak=NO_TIME,
    lease=timedelta(seconds=1),
    lock_patience=timedelta(seconds=3),
    ddl_lock_timeout=timedelta(milliseconds=100),
)


def take(target: State | None, control: Control, *, forward: bool) -> None:
    """Take a transition, answering for the trigger that the site has."""
    gates = {gate for e in EDGES if e.target is target and e.forward is forward for gate in e.gates}
    with acting_as(replace(SIGNATURE, overrides=OVERRIDES & gates)):
        take_transition(ALIAS, target, SETTINGS, control, forward=forward)

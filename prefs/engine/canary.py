"""The canary and the shadow reads: two samples, the first raised under gates, both on record.

To lower one asks for nothing and waits for no transition. The canary is raised under the lock of
transitions, so no flip comes between its gates and its rise; and under its row's lock, so that a
mismatch that is told meanwhile either is seen by the gates or lowers what was raised.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from django.db import connections, transaction

from prefs.conf import Settings
from prefs.engine import audit, flips
from prefs.engine.findings import Finding, Inquiry
from prefs.engine.gates import GateRefused, ask
from prefs.engine.states import RAISING_THE_CANARY, State, current_state
from prefs.errors import Mistake, PrefsError, Refused
from prefs.routing import CANARY, SHADOW
from prefs.sql import canary as sql
from prefs.sql import catalog
from prefs.sql.asking import execute, one

_NAMES = {CANARY: "canary", SHADOW: "shadow reads"}


class NotAPercentage(Mistake, ValueError):
    """A percentage that is none, or that a sample cannot hold."""

    def __init__(self, given: object) -> None:
        super().__init__(
            f"{given} is no percentage; expected a number from 0 to 100, in tenths at most."
        )


class NotRaised(Refused):
    """The canary in a state in which it is not raised."""

    def __init__(self, state: State) -> None:
        super().__init__(
            f"The canary is raised in {State.DUAL_WRITE} alone, where both stores are written and"
            f" the column is read; the state is {state}. Nothing was changed."
        )


class NoSample(PrefsError):
    """A sample whose row is gone."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The row of the waffle sample {name} is missing, which counts as 0. Nothing was"
            " changed. Run `manage.py install_prefs`: it puts the row back."
        )


def percentage(given: object) -> Decimal:
    """`given` as a percentage that a sample can hold. Raises NotAPercentage."""
    try:
        found = Decimal(str(given))
    except InvalidOperation as error:
        raise NotAPercentage(given) from error
    if not found.is_finite() or not 0 <= found <= 100 or found != round(found, 1):
        raise NotAPercentage(given)
    return round(found, 1)


def turn(alias: str, name: str, percent: Decimal, settings: Settings) -> Decimal:
    """Set a sample; the percentage that it had.

    To raise the canary takes the lock of transitions, and evaluates its gates under it. Takes the
    lock of the sample's row until the transaction ends. Raises NotRaised, GateRefused, NoSample.
    """
    raises = percent > flips.percentages(alias).get(name, 0)
    try:
        return _turn(alias, name, percent, settings, raises=raises)
    except _Lowered:
        return _turn(alias, name, percent, settings, raises=True)


class _Lowered(Exception):
    """The sample was lowered meanwhile, so that what would have lowered it would raise it."""


def _turn(alias: str, name: str, percent: Decimal, settings: Settings, *, raises: bool) -> Decimal:
    connection = connections[alias]
    with transaction.atomic(using=alias):
        if raises:
            flips.lock_transitions(alias)
        row = one(connection, sql.lock(), {"name": name})
        if row is None:
            raise NoSample(name)
        before: Decimal = row[0]
        findings: list[Finding] = []
        if percent > before:
            if not raises:
                raise _Lowered
            if name == CANARY:
                findings = _gates(alias, percent, settings)
            execute(connection, catalog.allow_turning())
        if before != percent:
            execute(connection, sql.turn(), {"name": name, "percent": percent})
            subject = f"{_NAMES[name]} from {before} % to {percent} %"
            gates = [finding.record() for finding in findings]
            audit.record(alias, audit.Event.SAMPLE, subject, gates=gates)
    transaction.on_commit(flips.forget_cached_switches, using=alias)
    return before


def _gates(alias: str, percent: Decimal, settings: Settings) -> list[Finding]:
    """What the gates of raising the canary find. Raises NotRaised and GateRefused."""
    state = current_state(alias)
    if state is not State.DUAL_WRITE:
        raise NotRaised(state)
    inquiry = Inquiry(alias=alias, settings=settings)
    findings = [ask(gate, inquiry) for gate in RAISING_THE_CANARY]
    if not all(finding.met for finding in findings):
        raise GateRefused(f"Raising the canary to {percent} %", findings)
    return findings

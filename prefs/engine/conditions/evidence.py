"""Gates on what has been verified, and on how long a state has stood."""

from __future__ import annotations

from prefs.engine.evidence import (
    Evidence,
    last_mirror_on,
    last_settled,
    latest_evidence,
    seconds_since,
)
from prefs.engine.findings import Finding, Inquiry
from prefs.engine.repair import Direction
from prefs.engine.states import Gate, State, current_state


def _judge(gate: Gate, inquiry: Inquiry, evidence: Evidence, fresh: bool) -> Finding:
    ttl = inquiry.settings.verification_ttl.total_seconds()
    met = evidence.run is not None and (not fresh or evidence.age <= ttl)
    found = evidence.found
    if evidence.run is not None and not met:
        found += f", {evidence.age:.0f} s ago; it counts for {ttl:.0f} s"
    return Finding(
        gate=gate,
        met=met,
        found=found,
        remedy=f"Run `manage.py backfill_prefs{_option(inquiry)}`, then `manage.py verify_prefs`.",
        figures=evidence.figures,
    )


def _option(inquiry: Inquiry) -> str:
    """The option by which a backfill leaves from what is the primary now."""
    reverse = Direction.of(current_state(inquiry.alias).route) is Direction.REVERSE
    return " --reverse" if reverse else ""


def verified(inquiry: Inquiry) -> Finding:
    """A complete verification since the last flip found zero, and is fresh."""
    since = last_settled(inquiry.alias)
    return _judge(Gate.VERIFIED, inquiry, latest_evidence(inquiry.alias, since), fresh=True)


def verified_since_mirror(inquiry: Inquiry) -> Finding:
    """A complete verification since the mirror was switched on found zero."""
    since = last_mirror_on(inquiry.alias)
    evidence = latest_evidence(inquiry.alias, since)
    return _judge(Gate.VERIFIED_SINCE_MIRROR, inquiry, evidence, fresh=False)


def _soak(gate: Gate, inquiry: Inquiry, state: State, needed: float) -> Finding:
    elapsed = seconds_since(inquiry.alias, state)
    return Finding(
        gate=gate,
        met=elapsed is not None and elapsed >= needed,
        found=f"{elapsed:.0f} s of {needed:.0f} s in {state}"
        if elapsed is not None
        else f"no drained transition to {state} is on record",
        remedy=f"Wait, or change PREFS_{gate.upper()}.",
        figures={"elapsed_seconds": elapsed, "needed_seconds": needed},
    )


def cutover_soak(inquiry: Inquiry) -> Finding:
    """Reads have come from the tables for long enough."""
    needed = inquiry.settings.cutover_soak.total_seconds()
    return _soak(Gate.CUTOVER_SOAK, inquiry, State.READ_CUTOVER, needed)


def contract_soak(inquiry: Inquiry) -> Finding:
    """The blob has stood unwritten for long enough."""
    needed = inquiry.settings.contract_soak.total_seconds()
    return _soak(Gate.CONTRACT_SOAK, inquiry, State.MIRROR_OFF, needed)

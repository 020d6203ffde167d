"""Gates on what has been verified, and on how long a state has stood."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from prefs.engine.evidence import (
    database_now,
    last_mirror_on,
    last_settled,
    last_verification,
    mismatches_since,
    seconds_since,
)
from prefs.engine.findings import Finding, Inquiry
from prefs.engine.repair import Direction
from prefs.engine.states import Gate, State, current_state
from prefs.models import Run


def verified(inquiry: Inquiry) -> Finding:
    """A complete verification since the last flip found zero, and is fresh."""
    ttl = inquiry.settings.verification_ttl.total_seconds()
    return _judge(Gate.VERIFIED, inquiry, last_settled(inquiry.alias), ttl)


def verified_since_mirror(inquiry: Inquiry) -> Finding:
    """A complete verification since the mirror was switched on found zero."""
    return _judge(Gate.VERIFIED_SINCE_MIRROR, inquiry, last_mirror_on(inquiry.alias), math.inf)


def _judge(gate: Gate, inquiry: Inquiry, since: datetime | None, ttl: float) -> Finding:
    """Whether the last verification found zero, after `since`, and at most `ttl` s ago.

    What a shadow read has found since it began speaks against it.
    """
    run = last_verification(inquiry.alias)
    met, figures = False, dict[str, Any]()
    if run is None or run.finished_at is None:
        found = "no verification of all users is on record"
    elif since is None:
        found = "the last transition has not settled"
    elif run.started_at <= since:
        found = f"run {run.pk} began before the last flip had drained"
    else:
        figures = {
            "run": run.pk,
            "users": run.users,
            "differing": run.differing,
            "started_at": run.started_at.isoformat(),
            "finished_at": run.finished_at.isoformat(),
        }
        # From its beginning: users compared then may have been written since by other hands.
        age = (database_now(inquiry.alias) - run.started_at).total_seconds()
        figures["mismatches"] = mismatches_since(run, inquiry.alias)
        met, found = _worth(run, age, ttl, figures["mismatches"])
    reverse = Direction.of(current_state(inquiry.alias).route) is Direction.REVERSE
    backfill = f"manage.py backfill_prefs{' --reverse' if reverse else ''}"
    remedy = f"Run `{backfill}`, then `manage.py verify_prefs`."
    return Finding(gate=gate, met=met, found=found, remedy=remedy, figures=figures)


def _worth(run: Run, age: float, ttl: float, mismatches: int) -> tuple[bool, str]:
    if run.differing:
        return False, f"run {run.pk} found {run.differing} users whose stores differ"
    if mismatches:
        since = f"since run {run.pk} began, which found none"
        return False, f"shadow reads found {mismatches} users to differ {since}"
    found = f"run {run.pk} compared {run.users} users and found no difference"
    if age > ttl:
        found += f", {age:.0f} s ago; it counts for {ttl:.0f} s"
    return age <= ttl, found


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

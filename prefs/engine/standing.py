"""What the last verification is worth now: of what kind it is, and what made it so.

The gates ask `evidence`; this says the same to people, in every state, with the flip that voided
an old run and when that was.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prefs.conf import Settings
from prefs.engine.evidence import database_now
from prefs.engine.states import State, recorded_state
from prefs.models import Run, Transition


class Kind(enum.StrEnum):
    """What a verification says of the stores as they are."""

    NOT_VERIFIED = "not verified"
    VERIFIED = "verified"
    DIFFERING = "differing"
    STALE = "stale"
    VOID = "void"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The last complete verification, if any, and what it is worth. `why` is of a stale or void."""

    kind: Kind
    run: Run | None = None
    why: str = ""
    void_since: datetime | None = None
    voided_by: str = ""

    @property
    def differing(self) -> int | None:
        """How many users it found to differ; None where it says nothing about them now."""
        counts = self.run is not None and self.kind is not Kind.VOID
        return self.run.differing if counts and self.run else None

    def __str__(self) -> str:
        run = self.run
        if run is None:
            return "unknown: no verification of all users is on record"
        found = f"{run.differing} among {run.users} users ({run}, {_moment(run.finished_at)})"
        if self.void_since is not None:
            since = f"void since {_moment(self.void_since)}, by the transition {self.voided_by}"
            return f"unknown: {since}; before it {found}"
        if self.kind is Kind.VOID:
            return f"unknown: void, {self.why}; before it {found}"
        return f"{found}; stale: {self.why}" if self.why else found

    def figures(self) -> dict[str, Any]:
        """It as JSON."""
        return {
            "kind": self.kind,
            "why": self.why or None,
            "void_since": self.void_since and self.void_since.isoformat(),
            "voided_by": self.voided_by or None,
        }


def standing(alias: str, state: State, settings: Settings) -> Standing:
    """What the last verification is worth in `state`, as the database is now. Locks nothing."""
    done = Run.objects.using(alias).filter(kind=Run.Kind.VERIFICATION, status=Run.Status.DONE)
    run = done.order_by("-id").first()
    if run is None:
        return Standing(kind=Kind.NOT_VERIFIED)
    if voided := _first_since(run, alias):
        taken, by = voided.taken_at, str(voided)
        why = f"the transition {by} was taken"
        return Standing(kind=Kind.VOID, run=run, why=why, void_since=taken, voided_by=by)
    if recorded_state(alias) is not state:
        why = "a switch or the column was changed past the guards"
        return Standing(kind=Kind.VOID, run=run, why=why)
    if run.differing:
        return Standing(kind=Kind.DIFFERING, run=run)
    why = _stale(run, alias, state, settings)
    return Standing(kind=Kind.STALE if why else Kind.VERIFIED, run=run, why=why)


def _first_since(run: Run, alias: str) -> Transition | None:
    """The first transition that had not reached everyone before `run` began."""
    for taken in Transition.objects.using(alias).order_by("id"):
        if taken.settled_at is None or taken.settled_at >= run.started_at:
            return taken
    return None


def _stale(run: Run, alias: str, state: State, settings: Settings) -> str:
    if not state.route.mirrored:
        return f"in {state} what is written is in one store alone"
    age, ttl = database_now(alias) - run.started_at, settings.verification_ttl
    return f"it counts for {ttl} (PREFS_VERIFICATION_TTL)" if age > ttl else ""


def _moment(when: datetime | None) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC" if when else "unfinished"

"""Evidence: what the last verification is worth now, and how long a state has stood.

Everything is dated by the database's clock, as its transactions wrote it down. The gates ask how
the last verification went and when; `standing` says the same to people, in every state, with the
flip that voided an old run and when that was.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connections
from django.db.models import Q

from prefs.conf import Settings
from prefs.engine.states import State, last_transition, recorded_state
from prefs.models import Mismatch, Run, Transition
from prefs.sql.asking import one


def database_now(alias: str) -> datetime:
    """The database's clock, now and not at the start of the transaction."""
    now: datetime = one(connections[alias], "SELECT clock_timestamp()")[0]
    return now


def last_settled(alias: str) -> datetime | None:
    """When the last transition had reached everyone; None where none was taken."""
    last = last_transition(alias)
    return last.settled_at if last else None


def last_mirror_on(alias: str) -> datetime | None:
    """When the mirror was last switched on and drained."""
    pairs = ((State.EXPANDED, State.DUAL_WRITE), (State.MIRROR_OFF, State.READ_CUTOVER))
    taken = [last_transition(alias, from_state=a, to_state=b) for a, b in pairs]
    latest = max((t for t in taken if t), key=lambda t: t.pk, default=None)
    return latest.settled_at if latest else None


def last_verification(alias: str) -> Run | None:
    """The latest verification of all users that came to its end.

    It alone is asked: an older one that found nothing says little beside a newer one that found
    something.
    """
    done = Run.objects.using(alias).filter(kind=Run.Kind.VERIFICATION, status=Run.Status.DONE)
    return done.order_by("-id").first()


def mismatches_since(run: Run, alias: str) -> int:
    """How many users shadow reads found to differ since a verification began.

    It may have passed them before, so it says nothing of them any more.
    """
    return Mismatch.objects.using(alias).filter(found_at__gte=run.started_at).count()


def seconds_since(alias: str, state: State) -> float | None:
    """How long ago the transition into `state`, the last one taken, had settled."""
    last: Transition | None = last_transition(alias)
    if last is None or last.to_state != state or last.settled_at is None:
        return None
    return (database_now(alias) - last.settled_at).total_seconds()


class Kind(enum.StrEnum):
    """What a verification says of the stores as they are."""

    NOT_VERIFIED = "not verified"
    VERIFIED = "verified"
    DIFFERING = "differing"
    STALE = "stale"
    VOID = "void"
    MISMATCHED = "mismatched"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The last complete verification, if any, and what it is worth.

    `why` is of one that is stale or void; `voided_by` of one that a transition made void.
    """

    kind: Kind
    run: Run | None = None
    why: str = ""
    voided_by: Transition | None = None

    @property
    def differing(self) -> int | None:
        """How many users it found to differ; None where it says nothing about them now."""
        counts = self.run is not None and self.kind not in (Kind.VOID, Kind.MISMATCHED)
        return self.run.differing if counts and self.run else None

    def __str__(self) -> str:
        run = self.run
        if run is None:
            return "unknown: no verification of all users is on record"
        found = f"{run.differing} among {run.users} users ({run}, {moment(run.finished_at)})"
        if by := self.voided_by:
            since = f"void since {moment(by.taken_at)}, by the transition {by}"
            return f"unknown: {since}; before it {found}"
        if self.kind in (Kind.VOID, Kind.MISMATCHED):
            return f"unknown: void, {self.why}; before it {found}"
        return f"{found}; stale: {self.why}" if self.why else found

    def figures(self) -> dict[str, Any]:
        """It as JSON."""
        by = self.voided_by
        since, words = (by.taken_at.isoformat(), str(by)) if by else (None, None)
        return {
            "kind": self.kind,
            "why": self.why or None,
            "void_since": since,
            "voided_by": words,
        }


def standing(alias: str, state: State, settings: Settings) -> Standing:
    """What the last verification is worth in `state`, as the database is now. Locks nothing."""
    run = last_verification(alias)
    if run is None:
        return Standing(kind=Kind.NOT_VERIFIED)
    # The first transition that had not reached everyone before it began.
    late = Q(settled_at=None) | Q(settled_at__gte=run.started_at)
    if by := Transition.objects.using(alias).filter(late).order_by("id").first():
        why = f"the transition {by} was taken"
        return Standing(kind=Kind.VOID, run=run, why=why, voided_by=by)
    if recorded_state(alias) is not state:
        why = "a switch or the column was changed past the guards"
        return Standing(kind=Kind.VOID, run=run, why=why)
    if run.differing:
        return Standing(kind=Kind.DIFFERING, run=run)
    if mismatches := mismatches_since(run, alias):
        why = f"shadow reads found {mismatches} users to differ since it began"
        return Standing(kind=Kind.MISMATCHED, run=run, why=why)
    age, ttl, why = database_now(alias) - run.started_at, settings.verification_ttl, ""
    if not state.route.mirrored:
        why = f"in {state} what is written is in one store alone"
    elif age > ttl:
        why = f"it counts for {ttl} (PREFS_VERIFICATION_TTL)"
    return Standing(kind=Kind.STALE if why else Kind.VERIFIED, run=run, why=why)


def moment(when: datetime | None) -> str:
    """A moment as people read it; None is that of what has not ended."""
    return f"{when:%Y-%m-%d %H:%M} UTC" if when else "unfinished"


def span(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return _whole(f"{hours} h", rest, "min")
    return _whole(f"{hours // 24} days", hours % 24, "h")


def _whole(most: str, rest: int, unit: str) -> str:
    return f"{most} {rest} {unit}" if rest else most

"""Evidence: which verification counts, and how long a state has stood.

Everything is dated by the database's clock, as its transactions wrote it down.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connections

from prefs.engine.states import State, last_transition
from prefs.models import Run, Transition
from prefs.sql.asking import one


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The latest verification that counts, or why there is none."""

    run: Run | None
    found: str
    age: float = 0.0
    figures: dict[str, Any] = field(default_factory=dict)


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
    pairs = (
        (State.EXPANDED, State.DUAL_WRITE),
        (State.MIRROR_OFF, State.READ_CUTOVER),
    )
    taken = [last_transition(alias, from_state=a, to_state=b) for a, b in pairs]
    latest = max((t for t in taken if t), key=lambda t: t.pk, default=None)
    return latest.settled_at if latest else None


def latest_evidence(alias: str, since: datetime | None) -> Evidence:
    """The latest complete verification, if it found zero and began after `since`.

    The latest alone is asked: an older one that found nothing says little beside a newer
    one that found something.
    """
    run = (
        Run.objects.using(alias)
        .filter(kind=Run.Kind.VERIFICATION, status=Run.Status.DONE)
        .order_by("-id")
        .first()
    )
    if run is None or run.finished_at is None:
        return Evidence(run=None, found="no verification of all users is on record")
    if since is None:
        return Evidence(run=None, found="the last transition has not settled")
    if run.started_at <= since:
        return Evidence(run=None, found=f"run {run.pk} began before the last flip had drained")
    figures = {
        "run": run.pk,
        "users": run.users,
        "differing": run.differing,
        "started_at": run.started_at.isoformat(),
        "finished_at": run.finished_at.isoformat(),
    }
    if run.differing:
        found = f"run {run.pk} found {run.differing} users whose stores differ"
        return Evidence(run=None, found=found, figures=figures)
    # From its beginning: users compared then may have been written since by other hands.
    age = (database_now(alias) - run.started_at).total_seconds()
    found = f"run {run.pk} compared {run.users} users and found no difference"
    return Evidence(run=run, found=found, age=age, figures=figures)


def seconds_since(alias: str, state: State) -> float | None:
    """How long ago the transition into `state`, the last one taken, had settled."""
    last: Transition | None = last_transition(alias)
    if last is None or last.to_state != state or last.settled_at is None:
        return None
    return (database_now(alias) - last.settled_at).total_seconds()

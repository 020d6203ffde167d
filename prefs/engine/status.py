"""Everything an operator wants to know, in one look at the database."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from django.db import connections
from waffle import get_waffle_switch_model

from prefs.blockers import Blocker
from prefs.conf import Settings
from prefs.engine import quarantine, transitions
from prefs.engine.archive import Archive, NoArchive, recorded
from prefs.engine.integrity import Problem, problems
from prefs.engine.states import (
    EDGES,
    State,
    contradicts_column,
    current_state,
    last_transition,
    recorded_state,
)
from prefs.models import Run, Transition
from prefs.routing import SWITCHES
from prefs.sql import catalog

_RECENT = 5


@dataclass(frozen=True, kw_only=True)
class Status:
    """A site's place in the migration."""

    state: State
    users: int
    copied: int
    problems: tuple[Problem, ...]
    unsettled: Transition | None
    waits_for: tuple[Blocker, ...]
    plans: tuple[transitions.Plan, ...]
    verification: Run | None
    quarantined: dict[str, int]
    archive: Archive | None
    runs: tuple[Run, ...]

    @property
    def needs_attention(self) -> bool:
        """Whether the last verification found differences, or leaves are quarantined."""
        differing = self.verification is not None and self.verification.differing > 0
        return differing or bool(self.quarantined)


def status(alias: str, settings: Settings) -> Status:
    """The status of a database. Raises MissingSwitch and UnknownState. Locks nothing."""
    state = current_state(alias)
    users, copied = _counts(alias)
    runs = Run.objects.using(alias).order_by("-id")
    verification = runs.filter(kind=Run.Kind.VERIFICATION, status=Run.Status.DONE).first()
    plans = [
        transitions.plan(alias, edge.target, settings, forward=edge.forward)
        for edge in EDGES
        if edge.source is state
    ]
    last = last_transition(alias)
    unsettled = last if last is not None and last.settled_at is None else None
    return Status(
        state=state,
        users=users,
        copied=copied,
        problems=tuple(problems(alias)),
        unsettled=unsettled,
        waits_for=tuple(transitions.waits_for(unsettled, alias)) if unsettled else (),
        plans=tuple(plans),
        verification=verification,
        quarantined=quarantined(alias),
        archive=_archive(alias),
        runs=tuple(runs[:_RECENT]),
    )


def _counts(alias: str) -> tuple[int, int]:
    with connections[alias].cursor() as cursor:
        cursor.execute(catalog.counts())
        users, copied = cursor.fetchone()
    return users, copied


def _archive(alias: str) -> Archive | None:
    try:
        return recorded(alias)
    except NoArchive:
        return None


def quarantined(alias: str) -> dict[str, int]:
    """How many users have each quarantined leaf, most first."""
    found: Counter[str] = Counter()
    for count in quarantine.counts(alias):
        found[count.leaf] += count.users
    return dict(found)


def switch_repairs(alias: str) -> list[str]:
    """The commands that put switches back as the last transition left them.

    Those whose rows are missing, and those that route to a column that was dropped.
    """
    values = dict(zip(SWITCHES, recorded_state(alias).route.value, strict=True))
    rows = get_waffle_switch_model().objects.using(alias).filter(name__in=SWITCHES)
    found = dict(rows.values_list("name", "active"))
    wrong = [name for name in SWITCHES if name not in found]
    if not wrong and contradicts_column(alias):
        wrong = [name for name in SWITCHES if found[name] != values[name]]
    return [
        f"manage.py waffle_switch {name} {'on' if values[name] else 'off'}"
        f"{'' if name in found else ' --create'}"
        for name in wrong
    ]

"""Everything an operator wants to know, in one look at the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connections
from django.db.migrations.recorder import MigrationRecorder
from waffle import get_waffle_switch_model

from prefs.blockers import Blocker
from prefs.conf import Settings
from prefs.engine import transitions
from prefs.engine.archive import Archive, NoArchive, recorded
from prefs.engine.evidence import Kind, Standing, database_now, standing
from prefs.engine.findings import Inquiry
from prefs.engine.flaws import Problem
from prefs.engine.flips import percentages
from prefs.engine.integrity import problems
from prefs.engine.quarantine import LeafInQuarantine, leaves_in_quarantine
from prefs.engine.sight import rows_of_everybody
from prefs.engine.states import (
    EDGES,
    State,
    contradicts_column,
    current_state,
    last_transition,
    recorded_state,
)
from prefs.models import Mismatch, Run, ShadowReads, Transition
from prefs.routing import CANARY, SHADOW, SWITCHES
from prefs.sql import catalog

_RECENT = 5


@dataclass(frozen=True, kw_only=True)
class Status:
    """A site's place in the migration, as it was found at one look."""

    alias: str
    settings: Settings
    state: State
    stood_since: datetime | None
    asked_at: datetime
    users: int
    copied: int
    problems: tuple[Problem, ...]
    last: Transition | None
    waits_for: tuple[Blocker, ...]
    plans: tuple[transitions.Plan, ...]
    standing: Standing
    quarantined: tuple[LeafInQuarantine, ...]
    archive: Archive | None
    runs: tuple[Run, ...]
    canary: Decimal
    shadow: Decimal
    shadow_reads: ShadowReads | None
    mismatches: tuple[Mismatch, ...]

    @property
    def unsettled(self) -> Transition | None:
        """The last transition, where it has not reached everyone."""
        return self.last if self.last and self.last.settled_at is None else None

    @property
    def needs_attention(self) -> bool:
        """Whether differences or mismatches are known, or more is in quarantine than accepted."""
        grown = any(each.needs_attention for each in self.quarantined)
        mismatched = self.standing.kind is Kind.MISMATCHED
        return bool(self.standing.differing) or mismatched or grown


def status(alias: str, settings: Settings) -> Status:
    """The status of a database. Raises MissingSwitch and UnknownState. Locks nothing."""
    state, now = current_state(alias), database_now(alias)
    [(users, copied)] = rows_of_everybody(alias, catalog.counts())
    inquiry, samples = Inquiry(alias=alias, settings=settings), percentages(alias)
    last = last_transition(alias)
    return Status(
        alias=alias,
        settings=settings,
        state=state,
        stood_since=_stood_since(last, state, alias),
        asked_at=now,
        users=users,
        copied=copied,
        problems=tuple(problems(alias, inquiry.look)),
        last=last,
        waits_for=tuple(transitions.waits_for(last, alias)) if last else (),
        plans=tuple(
            transitions.plan(alias, edge.target, settings, forward=edge.forward, inquiry=inquiry)
            for edge in EDGES
            if edge.source is state
        ),
        standing=standing(alias, state, settings),
        quarantined=tuple(leaves_in_quarantine(alias)),
        archive=_archive(alias),
        canary=samples.get(CANARY, Decimal(0)),
        shadow=samples.get(SHADOW, Decimal(0)),
        shadow_reads=ShadowReads.objects.using(alias).first(),
        mismatches=tuple(Mismatch.objects.using(alias).order_by("-found_at")),
        runs=tuple(Run.objects.using(alias).order_by("-id")[:_RECENT]),
    )


def _stood_since(last: Transition | None, state: State, alias: str) -> datetime | None:
    """When the last transition led to this state, or `migrate` did; None where neither did."""
    if last is not None:
        return (last.settled_at or last.taken_at) if last.to_state == state else None
    recorder = MigrationRecorder(connections[alias])
    ours = recorder.applied_migrations().items() if state is State.EXPANDED else ()
    return min((made.applied for (app, _), made in ours if app == "prefs"), default=None)


def _archive(alias: str) -> Archive | None:
    try:
        return recorded(alias)
    except NoArchive:
        return None


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

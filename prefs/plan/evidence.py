"""What a plan is judged by: one look at a database, at what is on record in it, and at the code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.core.checks import CheckMessage
from django.db import connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.urls import NoReverseMatch, reverse

from prefs import checks
from prefs.conf import Settings
from prefs.engine import integrity
from prefs.engine.evidence import database_now
from prefs.engine.findings import Finding
from prefs.engine.flaws import Flaw
from prefs.engine.look import look
from prefs.engine.next_step import NextStep, next_step
from prefs.engine.rights import wrong_rights
from prefs.engine.states import Gate, State, went_forward
from prefs.engine.status import Status, status
from prefs.models import AuditEntry, RecordedRehearsal, Run, Transition

# What the page of the metrics is called in a site's urlconf, once there is one.
METRICS = "prefs_metrics"


@dataclass(frozen=True, kw_only=True)
class Code:
    """What the code of the site and of this app says by itself."""

    migrations: int
    irreversible: tuple[str, ...]
    store_findings: tuple[str, ...]
    metrics_at: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All of it. `found` and what hangs on it are missing before `migrate`."""

    alias: str
    settings: Settings
    asked_at: datetime
    code: Code
    applied: tuple[datetime, ...]
    found: Status | None
    step: NextStep
    tables: tuple[Flaw, ...]
    objects: int
    triggers: tuple[Flaw, ...]
    rights: tuple[Flaw, ...]
    transitions: tuple[Transition, ...]
    runs: tuple[Run, ...]
    audit: tuple[AuditEntry, ...]
    rehearsals: tuple[RecordedRehearsal, ...]

    @property
    def state(self) -> State | None:
        return self.found.state if self.found else None

    @property
    def settled(self) -> tuple[Transition, ...]:
        """The transitions that reached everyone, the first one first."""
        return tuple(taken for taken in self.transitions if taken.settled_at)

    @property
    def began_empty(self) -> bool:
        """Whether the site had nobody to move, and went to the end at once."""
        direct = (str(State.EXPANDED), str(State.DROPPED))
        return any((each.from_state, each.to_state) == direct for each in self.settled)

    def taken_to(self, target: State) -> Transition | None:
        """The last settled transition forward to a state."""
        taken = [each for each in self.settled if each.to_state == target and went_forward(each)]
        return taken[-1] if taken else None

    def has_begun(self, target: State) -> bool:
        """Whether a transition to a state is on record, settled or not."""
        return any(each.to_state == target for each in self.transitions)

    def findings(self, target: State) -> tuple[Finding, ...]:
        """What the gates of the transition to `target` say now; none where it is not the next."""
        plans = self.found.plans if self.found else ()
        return next((p.findings for p in plans if p.edge and p.edge.target is target), ())

    def finding(self, target: State, gate: Gate) -> Finding | None:
        """What one of them says."""
        return next((each for each in self.findings(target) if each.gate is gate), None)

    def done(self, kind: Run.Kind) -> list[Run]:
        """The runs of a kind that came to their end, the first one first."""
        return [r for r in self.runs if r.kind == kind and r.status == Run.Status.DONE]

    def entries(self, *events: AuditEntry.Event) -> list[AuditEntry]:
        """Entries of the audit, the first one first."""
        return [each for each in self.audit if each.event in events]


def gather(alias: str, settings: Settings) -> Evidence:
    """One look at a database as it is now; before `migrate`, at the code alone. Locks nothing.

    Raises MissingSwitch and UnknownState.
    """
    code, applied = _code(), _applied(alias)
    # Half of the migrations are as good as none: what they have not made yet cannot be asked.
    if len(applied) < code.migrations:
        words = "it makes the tables" if not applied else "it makes what is missing"
        step = NextStep(says=f"Run `manage.py migrate`: {words}.", command="manage.py migrate")
        return _before(alias, settings, code, applied, step)
    found, seen = status(alias, settings), look(alias)
    return Evidence(
        alias=alias,
        settings=settings,
        asked_at=found.asked_at,
        code=code,
        applied=applied,
        found=found,
        step=next_step(found),
        tables=tuple(integrity.wrong_tables(seen)),
        objects=sum(map(len, seen.objects.values())),
        triggers=tuple(integrity.wrong_triggers(seen)),
        rights=tuple(wrong_rights(seen, settings)),
        transitions=tuple(Transition.objects.using(alias).order_by("id")),
        runs=tuple(Run.objects.using(alias).order_by("id")),
        audit=tuple(AuditEntry.objects.using(alias).order_by("id")),
        rehearsals=tuple(RecordedRehearsal.objects.using(alias).order_by("id")),
    )


def _before(
    alias: str, settings: Settings, code: Code, applied: tuple[datetime, ...], step: NextStep
) -> Evidence:
    return Evidence(
        alias=alias,
        settings=settings,
        asked_at=database_now(alias),
        code=code,
        applied=applied,
        found=None,
        step=step,
        tables=(),
        objects=0,
        triggers=(),
        rights=(),
        transitions=(),
        runs=(),
        audit=(),
        rehearsals=(),
    )


def _applied(alias: str) -> tuple[datetime, ...]:
    """When each migration of ours was applied, the first one first."""
    made = MigrationRecorder(connections[alias]).applied_migrations()
    disk = MigrationLoader(None).disk_migrations
    return tuple(sorted(row.applied for key, row in made.items() if key in disk and _is_ours(key)))


def _is_ours(key: tuple[str, str]) -> bool:
    return key[0] == "prefs"


def _code() -> Code:
    ours = {
        name: made
        for (app, name), made in MigrationLoader(None).disk_migrations.items()
        if _is_ours((app, name))
    }
    lasting = (
        f"{name}: {operation.describe()}"
        for name, made in sorted(ours.items())
        for operation in made.operations
        if not operation.reversible
    )
    wrong = (*checks.mapping_matches_models(), *checks.users_store_their_preferences())
    return Code(
        migrations=len(ours),
        irreversible=tuple(lasting),
        store_findings=_messages(wrong),
        metrics_at=_address(METRICS),
    )


def _messages(found: Iterable[CheckMessage]) -> tuple[str, ...]:
    return tuple(f"{each.id}: {each.msg}" for each in found)


def _address(name: str) -> str:
    """Where the site's urlconf has a page, or nothing."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""

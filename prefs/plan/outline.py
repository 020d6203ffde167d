"""The plan as every site has it: five phases, and five tasks in the order of their dependencies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prefs.engine.states import State
from prefs.models import AuditEntry, Run
from prefs.plan import acceptance
from prefs.plan.criteria import Criterion
from prefs.plan.evidence import Evidence

Event = AuditEntry.Event


@dataclass(frozen=True, kw_only=True)
class PhaseOutline:
    """A phase, and the states that its transitions lead to."""

    key: str
    title: str
    goal: str
    deliverables: tuple[str, ...]
    way_back: str
    targets: tuple[State, ...] = ()
    gate: str = ""
    """What lets the site in where no transition does."""


@dataclass(frozen=True, kw_only=True)
class TaskOutline:
    """A task; `targets` are the states that it leads to, `events` the decisions that are its."""

    key: str
    title: str
    phase: str
    context: str
    criteria: tuple[Criterion, ...]
    started: Callable[[Evidence], bool] | None = None
    """Whether work on it has begun; without it, whether any criterion is met."""

    blocked_by: tuple[str, ...] = ()
    priority: str = "high"
    targets: tuple[State, ...] = ()
    events: tuple[AuditEntry.Event, ...] = ()


PHASES = (
    PhaseOutline(
        key="expand",
        title="Expand",
        goal="Everything that the migration needs stands beside the column, and nothing uses it"
        " yet.",
        deliverables=(
            "the two typed tables with their constraints, indexes and foreign keys",
            "functions and triggers, and two switches that are off",
            "rights and policies that follow those on the column",
        ),
        gate="`migrate` refuses tables that it is not made for, before it makes anything",
        way_back="`migrate prefs zero` removes all of it; the column was never touched.",
    ),
    PhaseOutline(
        key="backfill",
        title="Backfill",
        goal="Every document that is there is in the tables as well, while the site goes on"
        " writing the column.",
        deliverables=(
            "a row for every user, copied in short batches that wait while the site is busy",
            "a list of the values that fit no column, each kept as it is",
        ),
        gate="none: what is copied is not read yet",
        way_back="Stop it with `backfill_prefs --stop`. The column is what is read and written;"
        " copied rows may stay.",
    ),
    PhaseOutline(
        key="dual_write",
        title="Dual-write",
        goal="Each write goes to both stores in one transaction; what was written between the"
        " copy and the switch is caught up, then everybody is verified.",
        deliverables=(
            "a catch-up that has compared everybody",
            "a verification of all users that found no difference",
        ),
        way_back="`rollback_prefs` leads to `expanded`. Nothing is lost: the column was read"
        " and written all the time.",
        targets=(State.DUAL_WRITE,),
    ),
    PhaseOutline(
        key="read_cutover",
        title="Read cutover",
        goal="Reads are answered by the tables, and the column is written beside them, so that"
        " reads can go back at once.",
        deliverables=(
            "reads and queries by preferences answered from typed columns",
            "a second verification of all users, begun after reads had moved",
            "nothing in the database, and no process, that needs the column",
        ),
        way_back="`rollback_prefs` leads to `dual_write`, after a verification that found no"
        " difference.",
        targets=(State.READ_CUTOVER,),
    ),
    PhaseOutline(
        key="contract",
        title="Contract",
        goal="The column stands unwritten for a while, is archived, and is dropped.",
        deliverables=(
            "an archive of what the column held, counted and summed",
            "the users table without the column",
        ),
        way_back="`rollback_prefs` adds the column again (type, default, NOT NULL, indexes) and"
        " fills it from the tables; from `mirror_off` it is caught up by `backfill_prefs"
        " --reverse`.",
        targets=(State.MIRROR_OFF, State.DROPPED),
    ),
)

TASKS = (
    TaskOutline(
        key="schema",
        title="Write migration SQL scripts",
        phase="expand",
        context="Django migrations make the tables beside the column. Each table lock is tried"
        " for in short tries, so that no reader or writer of the users table waits for longer than"
        " `PREFS_DDL_LOCK_TIMEOUT`.",
        criteria=acceptance.SCHEMA,
        started=lambda evidence: bool(evidence.applied),
        events=(Event.INSTALL,),
    ),
    TaskOutline(
        key="backfill",
        title="Implement backfill job",
        phase="backfill",
        context="`backfill_prefs` copies documents to the tables by any number of workers on any"
        " number of hosts. Each batch is a transaction that stores how far it is, so a run that is"
        " killed goes on there; it waits while replicas lag or sessions queue.",
        criteria=acceptance.BACKFILL,
        started=lambda evidence: any(run.kind == Run.Kind.BACKFILL for run in evidence.runs),
        blocked_by=("schema",),
        events=(Event.QUARANTINE, Event.CORRECTION),
    ),
    TaskOutline(
        key="dual_write",
        title="Add dual-write logic to API",
        phase="dual_write",
        context="The API, the managers and `user.preferences` lock the user's row, read the"
        " switches there and write each store of the route in one transaction; triggers do the"
        " same for programs that know the column alone.",
        criteria=acceptance.DUAL_WRITE,
        started=lambda evidence: evidence.has_begun(State.DUAL_WRITE),
        blocked_by=("schema", "backfill"),
        targets=(State.DUAL_WRITE,),
        events=(Event.REPAIR,),
    ),
    TaskOutline(
        key="reads",
        title="Update read queries",
        phase="read_cutover",
        context="One statement reads a document from the store that the switches name in its own"
        " snapshot. A canary can move a share of the users first; queries by preferences ask the"
        " typed columns once the tables are read.",
        criteria=acceptance.READS,
        started=lambda evidence: evidence.has_begun(State.READ_CUTOVER),
        blocked_by=("dual_write",),
        # The gates to `mirror_off` ask whether reads have moved for good.
        targets=(State.READ_CUTOVER, State.MIRROR_OFF),
        events=(Event.SAMPLE,),
    ),
    TaskOutline(
        key="rollback",
        title="Rollback plan and monitoring",
        phase="contract",
        context="Every step has a way back that loses nothing, which is rehearsed under traffic"
        " before it is needed. At the end the column is archived and dropped, and can be restored"
        " from the tables.",
        criteria=acceptance.ROLLBACK,
        started=lambda evidence: evidence.has_begun(State.MIRROR_OFF),
        blocked_by=("reads",),
        targets=(State.DROPPED,),
        events=(Event.ARCHIVE, Event.REHEARSAL),
    ),
)

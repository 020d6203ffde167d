"""What the record says was done: the timeline of states, the log, the decisions of a task."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from prefs.engine.states import State, is_forward
from prefs.models import AuditEntry, Run, Transition
from prefs.plan.criteria import gates_of
from prefs.plan.evidence import Evidence
from prefs.plan.model import Milestone, Note

Event = AuditEntry.Event
# Those are told by the transitions and rehearsals themselves.
_TOLD = (Event.TRANSITION, Event.SETTLED, Event.REHEARSAL)


def timeline(evidence: Evidence) -> tuple[Milestone, ...]:
    """Each state that the site stood in, from the transition into it to the next one."""
    taken = evidence.transitions
    ends: list[datetime | None] = [*(each.taken_at for each in taken), None]
    began = []
    if evidence.found is not None:
        since = evidence.applied[-1]
        began = [
            Milestone(
                state=str(State.EXPANDED), since=since, until=ends[0], who="migrate", gates=""
            )
        ]
    return (*began, *(_milestone(each, ends[n]) for n, each in enumerate(taken, 1)))


def _milestone(taken: Transition, until: datetime | None) -> Milestone:
    return Milestone(
        state=taken.to_state,
        since=taken.taken_at,
        until=until,
        who=taken.actor,
        gates=gates_of(taken) if taken.gates else "",
        reason=taken.reason,
    )


def log(evidence: Evidence) -> tuple[Note, ...]:
    """All that was done and refused, the first first."""
    notes = [*_migrations(evidence), *map(_transition, evidence.transitions)]
    notes += [note for run in evidence.runs for note in _run(run)]
    notes += [_entry(each) for each in evidence.audit if each.event not in _TOLD]
    notes += [
        Note(
            at=each.recorded_at,
            who=each.actor,
            what=f"rehearsal recorded: {each}",
            detail=f"{each.figures['users']:,} users, {each.figures['requests']:,} requests",
        )
        for each in evidence.rehearsals
    ]
    return tuple(sorted(notes, key=lambda note: note.at))


def decisions(
    evidence: Evidence, targets: Sequence[State], events: Sequence[AuditEntry.Event]
) -> tuple[Note, ...]:
    """What people decided about a task: overrides, ways back, what they accepted, and why."""
    own = [_entry(each) for each in evidence.audit if each.event in events or _over(each, targets)]
    back = [_transition(each) for each in evidence.transitions if _left_one(each, targets)]
    return tuple(sorted([*own, *back], key=lambda note: note.at))


def _over(entry: AuditEntry, targets: Sequence[State]) -> bool:
    """Whether a gate of the way to one of these was overridden."""
    ways = tuple(f" to {target}: " for target in targets)
    return entry.event == Event.OVERRIDE and any(way in entry.subject for way in ways)


def _left_one(taken: Transition, targets: Sequence[State]) -> bool:
    source, target = State(taken.from_state), State(taken.to_state)
    return source in targets and not is_forward(source, target)


def _migrations(evidence: Evidence) -> Iterable[Note]:
    if applied := evidence.applied:
        what = f"applied {len(applied)} of {evidence.code.migrations} migrations"
        yield Note(at=applied[-1], who="migrate", what=what)


def _transition(taken: Transition) -> Note:
    forward = is_forward(State(taken.from_state), State(taken.to_state))
    settled = "" if taken.settled_at else "not settled yet"
    parts = [gates_of(taken) if taken.gates else "", settled, taken.reason]
    return Note(
        at=taken.taken_at,
        who=taken.actor,
        what=f"{'advanced' if forward else 'rolled back'} from `{taken.from_state}` to"
        f" `{taken.to_state}`",
        detail="; ".join(filter(None, parts)),
    )


def _run(run: Run) -> Iterable[Note]:
    yield Note(at=run.started_at, who=run.holder, what=f"{run} began")
    if run.finished_at:
        yield Note(at=run.finished_at, who=run.holder, what=f"{run} {run.status}", detail=_did(run))


def _did(run: Run) -> str:
    """What a run that is over did, by its kind."""
    if run.status != Run.Status.DONE:
        return ""
    if run.kind == Run.Kind.VERIFICATION:
        return f"{run.users:,} users compared, {run.differing:,} differing"
    copied = f"{run.copied:,} users copied" if run.copied else f"{run.users:,} users"
    return f"{copied}, {run.batches:,} batches, {run.retries:,} retries"


def _entry(entry: AuditEntry) -> Note:
    why = entry.figures.get("why") or entry.figures.get("found") or entry.figures.get("error")
    first = str(why).splitlines()[0] if why else _left(entry)
    detail = "; ".join(filter(None, [first, entry.reason]))
    what = f"{entry.get_event_display()}: {entry.subject}"
    return Note(at=entry.recorded_at, who=entry.actor, what=what, detail=detail)


def _left(entry: AuditEntry) -> str:
    """How far a run was that was left, or went on."""
    if entry.event not in (Event.INTERRUPTED, Event.RESUMED):
        return ""
    return f"{entry.figures['left']}, at {entry.figures['users']:,} users"

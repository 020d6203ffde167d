"""What the record says was done: the timeline of states, the log, the decisions of a task."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby

from prefs.engine.states import State, went_forward
from prefs.models import AuditEntry, Run, Transition
from prefs.plan.criteria import gates_of
from prefs.plan.evidence import Evidence
from prefs.plan.model import Milestone, Note

Event = AuditEntry.Event
# Those are told by the transitions and rehearsals themselves.
_TOLD = (Event.TRANSITION, Event.SETTLED, Event.REHEARSAL)
_ACCEPTED = " accepted"
_NAMED = 4


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
    notes += _entries([each for each in evidence.audit if each.event not in _TOLD])
    notes += [
        Note(
            at=each.recorded_at,
            who=each.actor,
            what=f"{each} recorded",
            detail=f"{each.figures['users']:,} users, {each.figures['requests']:,} requests",
        )
        for each in evidence.rehearsals
    ]
    return tuple(sorted(notes, key=lambda note: note.at))


def decisions(
    evidence: Evidence, targets: Sequence[State], events: Sequence[AuditEntry.Event]
) -> tuple[Note, ...]:
    """What people decided about a task: overrides, ways back, what they accepted, and why."""
    entries = [each for each in evidence.audit if each.event in events or _over(each, targets)]
    own = _entries([each for each in entries if each.event not in _TOLD])
    back = [_transition(each) for each in evidence.transitions if _left_one(each, targets)]
    return tuple(sorted([*own, *back], key=lambda note: note.at))


def _over(entry: AuditEntry, targets: Sequence[State]) -> bool:
    """Whether a gate of the way to one of these was overridden."""
    ways = tuple(f" to {target}: " for target in targets)
    return entry.event == Event.OVERRIDE and any(way in entry.subject for way in ways)


def _left_one(taken: Transition, targets: Sequence[State]) -> bool:
    return taken.from_state in targets and not went_forward(taken)


def _migrations(evidence: Evidence) -> Iterable[Note]:
    if applied := evidence.applied:
        what = f"applied {len(applied)} of {evidence.code.migrations} migrations"
        yield Note(at=applied[-1], who="migrate", what=what)


def _transition(taken: Transition) -> Note:
    forward = went_forward(taken)
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
    parts = [f"{run.copied:,} users copied"] if run.copied else []
    if run.phase == Run.Phase.CATCH_UP:
        parts.append(f"{run.users:,} users compared, {run.repaired:,} overwritten")
    return ", ".join([*parts, f"{run.batches:,} batches"])


def _entries(entries: Sequence[AuditEntry]) -> Iterable[Note]:
    """Entries as notes; leaves that one person accepts in a row, for one reason, are one note."""
    for is_one, group in groupby(entries, _acceptance):
        found = list(group)
        if is_one is None:
            yield from map(_entry, found)
        else:
            leaves = [f"`{each.subject.removesuffix(_ACCEPTED)}`" for each in found]
            more = f" and {len(leaves) - _NAMED} more leaves" if len(leaves) > _NAMED else ""
            users = sum(each.figures["users"] for each in found)
            what = f"accepted {users:,} odd values, at {', '.join(leaves[:_NAMED])}{more}"
            yield Note(at=found[0].recorded_at, who=found[0].actor, what=what, detail=is_one[1])


def _acceptance(entry: AuditEntry) -> tuple[str, str] | None:
    """By whom and why something in quarantine was accepted, where that is what was done."""
    accepted = entry.event == Event.QUARANTINE and entry.subject.endswith(_ACCEPTED)
    return (entry.actor, entry.reason) if accepted else None


def _entry(entry: AuditEntry) -> Note:
    why = entry.figures.get("why") or entry.figures.get("found") or entry.figures.get("error")
    first = str(why).splitlines()[0] if why else ""
    detail = "; ".join(filter(None, [_place(entry), first, entry.reason]))
    return Note(at=entry.recorded_at, who=entry.actor, what=_what(entry), detail=detail)


def _what(entry: AuditEntry) -> str:
    match entry.event:
        case Event.ARCHIVE | Event.SAMPLE:
            return entry.subject
        case Event.INTERRUPTED:
            return f"{entry.subject} {entry.figures['left']}"
        case Event.RESUMED:
            return f"{entry.subject} resumed"
    return f"{entry.get_event_display()}: {entry.subject}"


def _place(entry: AuditEntry) -> str:
    """How far a run was that was left, or went on."""
    if entry.event not in (Event.INTERRUPTED, Event.RESUMED):
        return ""
    return f"after {entry.figures['users']:,} users of its {entry.figures['phase']}"

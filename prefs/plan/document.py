"""The plan as a document of a few kinds of blocks, which each format renders in its own way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from prefs.engine.evidence import moment, span
from prefs.plan.model import Milestone, Note, Phase, Plan, Result, Status, Task


@dataclass(frozen=True)
class Heading:
    """A heading; a status stands beside it where there is one."""

    level: int
    text: str
    status: Status | None = None


@dataclass(frozen=True)
class Paragraph:
    """Text."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list without order."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """Names and what they are here."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Checks:
    """Criteria, met or not."""

    results: tuple[Result, ...]


@dataclass(frozen=True)
class Table:
    """Rows under a head."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


_LOGGED = 100
Block = Heading | Paragraph | Bullets | Facts | Checks | Table


def document(plan: Plan) -> tuple[Block, ...]:
    """All of a plan, from its title to its log."""
    return tuple(_blocks(plan))


def _blocks(plan: Plan) -> Iterator[Block]:
    yield Heading(1, plan.title)
    yield Paragraph(plan.summary)
    yield Facts(tuple(_head(plan)))
    yield Heading(2, "Overview")
    yield _overview(plan.tasks)
    yield Heading(2, "Requirements")
    for each in plan.requirements:
        yield Heading(3, each.title)
        yield Bullets(each.items)
    yield Heading(2, "Phases")
    yield Paragraph(plan.sound)
    for phase in plan.phases:
        yield from _phase(phase)
    yield Heading(2, "Tasks")
    for task in plan.tasks:
        yield from _task(task)
    yield Heading(2, "Risks")
    risks = ((risk.what, risk.likelihood, risk.impact, risk.mitigation) for risk in plan.risks)
    yield Table(("Risk", "Likelihood", "Impact", "Mitigation"), tuple(risks))
    yield Heading(2, "Rollback plan")
    ways = (
        (f"{phase.number}. {phase.title}", phase.way_back, "; ".join(phase.gates_back))
        for phase in plan.phases
    )
    yield Table(("From phase", "Way back, which loses nothing", "Gates"), tuple(ways))
    yield Heading(2, "Success criteria")
    yield Checks(plan.success)
    yield Heading(2, "Timeline")
    yield _timeline(plan.timeline, plan.made_at)
    yield Heading(2, "Progress log")
    yield from _log(plan.log)


def _head(plan: Plan) -> Iterator[tuple[str, str]]:
    if plan.specification:
        yield "Specification", plan.specification
    yield "State", f"`{plan.state}`"
    done = sum(task.status is Status.DONE for task in plan.tasks)
    tasks = f"{done} of {len(plan.tasks)} tasks done"
    yield "Progress", f"{plan.percent} %: {plan.met} of {len(plan.criteria)} criteria met, {tasks}"
    yield "Next", plan.next
    begun = [task for task in plan.tasks if task.status is Status.IN_PROGRESS]
    if left := [f"{task.title}: {_first_open(task)}" for task in begun]:
        yield "Open", " ".join(left)
    held = [task for task in plan.tasks if task.status is Status.BLOCKED]
    if gates := [f"{task.title}, by {each}" for task in held for each in _gates(task)]:
        yield "Blocked", "; ".join(gates)
    yield "As of", f"{moment(plan.made_at)}, release {plan.version}"


def _first_open(task: Task) -> str:
    """The first criterion that is unmet, and how many more are."""
    first, *more = [each.text for each in task.criteria if not each.met]
    return f"{first} (and {len(more)} more)" if more else first


def _gates(task: Task) -> list[str]:
    """What it waits for that is no other task."""
    return [str(each) for each in task.waits_for if each.name not in task.blocked_by]


def _overview(tasks: Sequence[Task]) -> Table:
    """The tasks, with the columns that have something in them."""
    columns = {
        "#": [str(task.number) for task in tasks],
        "Task": [task.title for task in tasks],
        "Phase": [task.phase for task in tasks],
        "Status": [str(task.status) for task in tasks],
        "Criteria": [f"{task.met} of {len(task.criteria)}" for task in tasks],
        "Priority": [task.priority for task in tasks],
        "Sprint": [task.sprint for task in tasks],
        "Assignees": [", ".join(task.assignees) for task in tasks],
        "Blocked by": [", ".join(_numbers(task.blocked_by, tasks)) for task in tasks],
    }
    filled = {name: cells for name, cells in columns.items() if any(cells)}
    return Table(tuple(filled), tuple(zip(*filled.values(), strict=True)))


def _numbers(titles: Sequence[str], tasks: Sequence[Task]) -> list[str]:
    return [str(task.number) for task in tasks if task.title in titles]


def _phase(phase: Phase) -> Iterator[Block]:
    yield Heading(3, f"Phase {phase.number}: {phase.title}", phase.status)
    yield Paragraph(phase.goal)
    pairs = [("Gates", gate) for gate in phase.gates]
    pairs += [("Stands", each) for each in phase.stands]
    pairs += [("Tasks", ", ".join(phase.tasks))] if phase.tasks else []
    yield Facts(tuple(pairs))
    yield Paragraph("Deliverables:")
    yield Bullets(phase.deliverables)


def _task(task: Task) -> Iterator[Block]:
    yield Heading(3, f"Task {task.number}: {task.title}", task.status)
    yield Paragraph(task.context)
    yield Facts(tuple(_properties(task)))
    yield Paragraph("Acceptance criteria:")
    yield Checks(task.criteria)
    if task.decisions:
        yield Paragraph("Decisions:")
        yield Bullets(tuple(map(_said, task.decisions)))


def _properties(task: Task) -> Iterator[tuple[str, str]]:
    yield "Progress", f"{task.percent} %: {task.met} of {len(task.criteria)} criteria met"
    people = ", ".join(task.assignees) or "nobody yet"
    sprint = f", sprint {task.sprint}" if task.sprint else ""
    yield "Priority", f"{task.priority}{sprint}, assigned to {people}"
    yield "Phase", task.phase
    if task.specification:
        yield "Specification", task.specification
    if task.blocked_by:
        yield "Blocked by", ", ".join(task.blocked_by)
    if task.blocks:
        yield "Blocks", ", ".join(task.blocks)
    for each in task.waits_for:
        yield "Waits for", f"{each}. {each.remedy}" if each.remedy else str(each)


def _said(note: Note) -> str:
    detail = f" ({note.detail})" if note.detail else ""
    return f"{moment(note.at)}, {note.who}: {note.what}{detail}"


def _timeline(milestones: Sequence[Milestone], now: datetime) -> Table | Paragraph:
    if not milestones:
        return Paragraph("Nothing has been done yet.")
    rows = (
        (
            f"`{each.state}`",
            moment(each.since),
            f"{_stood(each, now)}{'' if each.until else ' so far'}",
            each.who,
            "; ".join(filter(None, (each.gates, each.reason))),
        )
        for each in milestones
    )
    return Table(("State", "Since", "Stood", "Taken by", "Gates and reason"), tuple(rows))


def _stood(milestone: Milestone, now: datetime) -> str:
    return span(((milestone.until or now) - milestone.since).total_seconds())


def _log(notes: Sequence[Note]) -> Iterator[Block]:
    """The latest notes; the JSON has all."""
    if not notes:
        yield Paragraph("Nothing has been done yet.")
        return
    if (earlier := len(notes) - _LOGGED) > 0:
        yield Paragraph(f"{earlier:,} earlier entries are in `plan_prefs --json`.")
    rows = ((f"{each.at:%Y-%m-%d %H:%M:%S}", each.who, _done(each)) for each in notes[-_LOGGED:])
    yield Table(("When (UTC)", "Who", "What"), tuple(rows))


def _done(note: Note) -> str:
    return f"{note.what}: {note.detail}" if note.detail else note.what

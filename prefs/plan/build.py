"""The plan put together: the outline, judged by evidence, with what the team says of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from django.utils.module_loading import import_string

from prefs import VERSION
from prefs.conf import Settings
from prefs.engine.evidence import span
from prefs.engine.states import EDGES, SOUND, Edge, Gate, State
from prefs.errors import PrefsError
from prefs.plan import history, words
from prefs.plan.acceptance import SUCCESS
from prefs.plan.criteria import Criterion, Verdict
from prefs.plan.evidence import Evidence
from prefs.plan.model import Blocker, Phase, Plan, Result, Status, Task
from prefs.plan.outline import PHASES, TASKS, PhaseOutline, TaskOutline
from prefs.plan.team import Team, TeamCriterion, TeamTask

_TITLE = "Implementation plan: user preferences from a JSON column to typed tables"
# What meets these is the task's own work: they hold nobody up.
_OWN_WORK = (Gate.VERIFIED, Gate.VERIFIED_SINCE_MIRROR, Gate.NO_USERS)


class CheckFailed(PrefsError):
    """A function of the team's that judges nothing."""

    def __init__(self, check: str, why: str) -> None:
        super().__init__(
            f"The criterion's function {check} (PREFS_PLAN) {why}. It takes a database alias and"
            " returns whether the criterion is met, and a figure: (True, '12 of 12 moved')."
        )


@dataclass(frozen=True, kw_only=True)
class _Whole:
    """What each task is seen with: all of them, and what their criteria came to."""

    evidence: Evidence
    team: Team
    outlines: tuple[TaskOutline, ...]
    judged: dict[str, tuple[Result, ...]]

    @property
    def titles(self) -> dict[str, str]:
        return {each.key: each.title for each in self.outlines}


def build(evidence: Evidence, team: Team) -> Plan:
    """The plan as this evidence has it. Raises CheckFailed; asks no more of the database itself.

    Functions of the team's are called here, and may ask what they like.
    """
    outlines = _with_the_teams(team)
    judged = {each.key: _judged(each, evidence) for each in outlines}
    whole = _Whole(evidence=evidence, team=team, outlines=outlines, judged=judged)
    tasks = tuple(_task(each, number, whole) for number, each in enumerate(outlines, 1))
    return Plan(
        title=team.title or _TITLE,
        made_at=evidence.asked_at,
        version=VERSION,
        specification=team.specification,
        summary=words.summary(evidence),
        state=str(evidence.state or "not migrated"),
        next=evidence.step.says,
        next_command=evidence.step.command,
        requirements=words.requirements(evidence.settings),
        sound=words.SOUND_MEANS,
        phases=tuple(_phase(each, n, tasks, evidence.settings) for n, each in enumerate(PHASES, 1)),
        tasks=tasks,
        risks=words.RISKS,
        success=tuple(each.result(evidence) for each in SUCCESS),
        timeline=history.timeline(evidence),
        log=history.log(evidence),
    )


def _with_the_teams(team: Team) -> tuple[TaskOutline, ...]:
    """The outline with the team's titles, priorities and criteria, then its own tasks."""
    ours = [_joined(each, team.tasks.get(each.key, TeamTask())) for each in TASKS]
    known = {each.key for each in TASKS}
    own = [
        TaskOutline(
            key=key,
            title=said.title,
            phase=said.phase,
            context=said.context,
            criteria=tuple(map(_criterion, said.criteria)),
            blocked_by=said.blocked_by,
            priority=said.priority or "medium",
        )
        for key, said in team.tasks.items()
        if key not in known
    ]
    return (*ours, *own)


def _joined(task: TaskOutline, said: TeamTask) -> TaskOutline:
    return replace(
        task,
        title=said.title or task.title,
        priority=said.priority or task.priority,
        criteria=(*task.criteria, *map(_criterion, said.criteria)),
    )


def _criterion(said: TeamCriterion) -> Criterion:
    """A criterion of the team's, judged by its function."""

    def judge(evidence: Evidence) -> Verdict:
        try:
            check = import_string(said.check)
        except ImportError as error:
            raise CheckFailed(said.check, f"cannot be imported: {error}") from error
        try:
            found = check(evidence.alias)
        except Exception as error:
            raise CheckFailed(said.check, f"raised {type(error).__name__}: {error}") from error
        match found:
            case (bool(met), str(figure)):
                return met, figure
        raise CheckFailed(said.check, f"returned {found!r:.200}")

    return Criterion(key=said.check, text=said.text, judge=judge, code=True)


def _judged(task: TaskOutline, evidence: Evidence) -> tuple[Result, ...]:
    return tuple(each.result(evidence) for each in task.criteria)


def _task(task: TaskOutline, number: int, of: _Whole) -> Task:
    said = of.team.tasks.get(task.key, TeamTask())
    status, waits_for = _standing(task, of)
    return Task(
        key=task.key,
        number=number,
        title=task.title,
        phase=next(each.title for each in PHASES if each.key == task.phase),
        status=status,
        priority=task.priority,
        sprint=said.sprint or of.team.sprint,
        assignees=said.assignees or of.team.assignees,
        context=task.context,
        specification=of.team.specification,
        criteria=of.judged[task.key],
        blocked_by=tuple(of.titles[key] for key in task.blocked_by),
        blocks=tuple(each.title for each in of.outlines if task.key in each.blocked_by),
        waits_for=waits_for,
        decisions=history.decisions(of.evidence, task.targets, task.events),
    )


def _standing(task: TaskOutline, of: _Whole) -> tuple[Status, tuple[Blocker, ...]]:
    """How a task stands, and what holds it up: what it waits for before it begins, or a gate."""
    judged, evidence = of.judged, of.evidence
    if all(each.met for each in judged[task.key]):
        return Status.DONE, ()
    before = tuple(
        Blocker(name=of.titles[key], found=_left(judged[key]))
        for key in task.blocked_by
        if not all(each.met for each in judged[key])
    )
    any_met = any(each.met for each in judged[task.key])
    if not (task.started(evidence) if task.started else any_met):
        return (Status.BLOCKED, before) if before else (Status.NOT_STARTED, ())
    gates = tuple(_gates(task, evidence))
    return (Status.BLOCKED, gates) if gates else (Status.IN_PROGRESS, ())


def _left(criteria: tuple[Result, ...]) -> str:
    met = sum(each.met for each in criteria)
    return f"{met} of {len(criteria)} criteria met"


def _gates(task: TaskOutline, evidence: Evidence) -> Iterable[Blocker]:
    """The unmet gates of the transition that is next, where it is this task's."""
    for target in task.targets:
        for finding in evidence.findings(target):
            if not finding.met and finding.gate not in _OWN_WORK:
                name = f"gate `{finding.gate}`"
                yield Blocker(name=name, found=finding.found, remedy=finding.remedy)


def _phase(
    outline: PhaseOutline, number: int, tasks: tuple[Task, ...], settings: Settings
) -> Phase:
    own = [task for task in tasks if task.phase == outline.title]
    edges = [edge for edge in EDGES if edge.target in outline.targets and _is_step(edge)]
    back = [edge for edge in EDGES if edge.source in outline.targets and not edge.forward]
    return Phase(
        number=number,
        title=outline.title,
        status=_together([task.status for task in own]),
        goal=outline.goal,
        deliverables=outline.deliverables,
        gates=tuple(map(_described, edges)) or (outline.gate,),
        tasks=tuple(task.title for task in own),
        stands=_stands(outline, settings),
        way_back=outline.way_back,
        gates_back=tuple(f"to `{edge.target}`: {_named(edge)}" for edge in back),
    )


def _stands(outline: PhaseOutline, settings: Settings) -> tuple[str, ...]:
    """How long its states stand at least before the next transition."""
    soaks = {
        State.READ_CUTOVER: (settings.cutover_soak, "PREFS_CUTOVER_SOAK"),
        State.MIRROR_OFF: (settings.contract_soak, "PREFS_CONTRACT_SOAK"),
    }
    return tuple(
        f"{span(soaks[state][0].total_seconds())} at least in `{state}` (`{soaks[state][1]}`)"
        for state in outline.targets
        if state in soaks
    )


def _named(edge: Edge) -> str:
    """The gates of a way back, each by its name."""
    return ", ".join(f"`{gate}`" for gate in edge.gates) or "none"


def _is_step(edge: Edge) -> bool:
    """Whether it is one step forward, and not the short way of a site without users."""
    order = list(State)
    return order.index(edge.target) - order.index(edge.source) == 1


def _described(edge: Edge) -> str:
    own = [f"`{gate}`" for gate in edge.gates if gate not in SOUND]
    gates = ", ".join(["the installation is sound", *own])
    return f"to `{edge.target}`: {gates}"


def _together(statuses: list[Status]) -> Status:
    """How a phase stands whose tasks stand like this."""
    kinds = set(statuses)
    if len(kinds) == 1:
        return statuses[0]
    if kinds == {Status.NOT_STARTED, Status.BLOCKED}:
        return Status.BLOCKED
    return Status.IN_PROGRESS

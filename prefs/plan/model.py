"""What a plan consists of. Data: nothing here asks a database, or knows how a plan is shown."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

# Texts are one paragraph each; what stands between backquotes in them is code.


class Status(enum.StrEnum):
    """How a task or a phase stands."""

    NOT_STARTED = "not started"
    IN_PROGRESS = "in progress"
    BLOCKED = "blocked"
    DONE = "done"


@dataclass(frozen=True, kw_only=True)
class Result:
    """One acceptance criterion as it was found: met or not, and by which figure."""

    key: str
    text: str
    met: bool
    figure: str


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something that was done or decided: when, by whom, what, and why or by which figures."""

    at: datetime
    who: str
    what: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Blocker:
    """What a task waits for: another task, or a gate with what it found and what meets it."""

    name: str
    found: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.found}" if self.found else self.name


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task, with what it waits for and what waits for it, by title."""

    key: str
    number: int
    title: str
    phase: str
    status: Status
    priority: str
    sprint: str
    assignees: tuple[str, ...]
    context: str
    specification: str
    criteria: tuple[Result, ...]
    blocked_by: tuple[str, ...]
    blocks: tuple[str, ...]
    waits_for: tuple[Blocker, ...]
    decisions: tuple[Note, ...]

    @property
    def met(self) -> int:
        return sum(each.met for each in self.criteria)

    @property
    def percent(self) -> int:
        return 100 * self.met // len(self.criteria)


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One of the phases: what it is for, what it leaves, and what lets the site out of it."""

    number: int
    title: str
    status: Status
    goal: str
    deliverables: tuple[str, ...]
    gates: tuple[str, ...]
    tasks: tuple[str, ...]
    """Titles."""

    stands: tuple[str, ...]
    """How long its states stand at least."""

    way_back: str
    gates_back: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """A group of requirements: what is there, what is wanted, what must hold meanwhile."""

    title: str
    items: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Risk:
    """What could go wrong, how bad that would be, and what is done about it."""

    what: str
    likelihood: str
    impact: str
    mitigation: str


@dataclass(frozen=True, kw_only=True)
class Milestone:
    """How long a state stood, from the transition into it."""

    state: str
    since: datetime
    until: datetime | None
    who: str
    gates: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The whole plan, as it stands at one moment."""

    title: str
    made_at: datetime
    version: str
    specification: str
    summary: str
    state: str
    next: str
    next_command: str
    requirements: tuple[Requirement, ...]
    sound: str
    phases: tuple[Phase, ...]
    tasks: tuple[Task, ...]
    risks: tuple[Risk, ...]
    success: tuple[Result, ...]
    timeline: tuple[Milestone, ...]
    log: tuple[Note, ...]

    @property
    def criteria(self) -> tuple[Result, ...]:
        """Those of all tasks."""
        return tuple(each for task in self.tasks for each in task.criteria)

    @property
    def met(self) -> int:
        return sum(each.met for each in self.criteria)

    @property
    def percent(self) -> int:
        return 100 * self.met // len(self.criteria)

    @property
    def is_done(self) -> bool:
        """Whether every criterion of every task, and of success, is met."""
        return all(each.met for each in (*self.criteria, *self.success))

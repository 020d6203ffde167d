"""What a team says of its plan in a file of its own: sprint, people, priorities, more tasks.

It is TOML, named by `PREFS_PLAN`. How far a task is cannot be said in it: a criterion that a team
adds names a function that judges it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from prefs.errors import Mistake
from prefs.plan.outline import PHASES, TASKS

PRIORITIES = ("critical", "high", "medium", "low")
_KNOWN = {task.key for task in TASKS}
_PHASES = tuple(phase.key for phase in PHASES)


class BadPlan(Mistake):
    """Something in the team's file that is not as it should be."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path} (PREFS_PLAN): {what} Nothing was done.")


@dataclass(frozen=True, kw_only=True)
class TeamCriterion:
    """A criterion of a team's own; `check` is the dotted path of the function that judges it."""

    text: str
    check: str


@dataclass(frozen=True, kw_only=True)
class TeamTask:
    """What a team says of a task; empty where it says nothing."""

    title: str = ""
    priority: str = ""
    sprint: str = ""
    assignees: tuple[str, ...] = ()
    phase: str = ""
    context: str = ""
    blocked_by: tuple[str, ...] = ()
    criteria: tuple[TeamCriterion, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Team:
    """All that a team says."""

    title: str = ""
    specification: str = ""
    sprint: str = ""
    assignees: tuple[str, ...] = ()
    tasks: Mapping[str, TeamTask] = field(default_factory=dict)


def read(path: str) -> Team:
    """The team's file, or nothing where the setting names none.

    Raises BadPlan, which names the key, what was found there and what was expected.
    """
    if not path:
        return Team()
    file = Path(path)
    try:
        given = tomllib.loads(file.read_bytes().decode())
    except OSError as error:
        raise BadPlan(file, f"it cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise BadPlan(file, f"it is not UTF-8, at byte {error.start}.") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadPlan(file, f"it is not TOML: {error}.") from error
    return _Reader(file).team(given)


class _Reader:
    """The checks of one file; each names the key that it is at."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def team(self, given: dict[str, Any]) -> Team:
        """The whole file."""
        self._only(given, "", ("title", "specification", "sprint", "assignees", "tasks"))
        tasks = self._table(given.get("tasks", {}), "tasks")
        team = Team(
            **self._texts(given, "", "title", "specification", "sprint"),
            assignees=self._names(given, "", "assignees"),
            tasks={key: self._task(tasks[key], key) for key in tasks},
        )
        self._ordered(team)
        return team

    def _task(self, given: Any, key: str) -> TeamTask:
        at = f"tasks.{key}."
        table = self._table(given, at[:-1])
        texts = ("title", "priority", "sprint", "phase", "context")
        ours = key in _KNOWN
        allowed = [t for t in texts if not ours or t not in ("phase", "context")]
        extra = () if ours else ("blocked_by",)
        self._only(table, at, (*allowed, "assignees", *extra, "criteria"))
        task = TeamTask(
            **self._texts(table, at, *texts),
            assignees=self._names(table, at, "assignees"),
            blocked_by=self._names(table, at, "blocked_by"),
            criteria=self._criteria(table.get("criteria", []), f"{at}criteria"),
        )
        if task.priority and task.priority not in PRIORITIES:
            self._wrong(f"{at}priority", task.priority, f"one of {', '.join(PRIORITIES)}")
        if not ours:
            self._whole(task, at)
        return task

    def _whole(self, task: TeamTask, at: str) -> None:
        """A task of the team's own needs a title, a phase and something to be judged by."""
        if not task.title:
            self._wrong(f"{at}title", task.title, "a title, for a task of your own")
        if task.phase not in _PHASES:
            self._wrong(f"{at}phase", task.phase, f"one of {', '.join(_PHASES)}")
        if not task.criteria:
            self._wrong(f"{at}criteria", [], "at least one, for a task of your own")

    def _criteria(self, given: Any, at: str) -> tuple[TeamCriterion, ...]:
        if not isinstance(given, list):
            self._wrong(at, given, f"tables, each under [[{at}]]")
        found = []
        for number, each in enumerate(given):
            here = f"{at}[{number}]"
            self._only(self._table(each, here), f"{here}.", ("text", "check"))
            texts = self._texts(each, f"{here}.", "text", "check")
            for name, expected in (("text", "a sentence"), ("check", "a dotted path")):
                if not texts[name]:
                    self._wrong(f"{here}.{name}", texts[name], expected)
            if "." not in texts["check"].strip("."):
                expected = 'the dotted path of a function, such as "shop.plan.is_moved"'
                self._wrong(f"{here}.check", texts["check"], expected)
            found.append(TeamCriterion(**texts))
        return tuple(found)

    def _ordered(self, team: Team) -> None:
        """Every task that is named is there, and none waits for itself, by whatever way."""
        waits: dict[str, tuple[str, ...]] = {task.key: task.blocked_by for task in TASKS}
        waits |= {key: task.blocked_by for key, task in team.tasks.items() if key not in _KNOWN}
        for key, before in waits.items():
            for each in before:
                if each not in waits:
                    expected = f"one of {', '.join(sorted(waits))}"
                    self._wrong(f"tasks.{key}.blocked_by", each, expected)
        for key in waits:
            if _reaches(key, key, lambda each: waits[each]):
                expected = "an order: a task cannot wait for itself, by whatever way"
                self._wrong(f"tasks.{key}.blocked_by", list(waits[key]), expected)

    def _texts(self, given: dict[str, Any], at: str, *names: str) -> dict[str, Any]:
        for name in names:
            value = given.get(name, "")
            if not isinstance(value, str) or value != value.strip() or len(value) > 2000:
                self._wrong(f"{at}{name}", value, "a text without spaces around it, 2000 at most")
            if any(ord(char) < 32 for char in value):
                self._wrong(f"{at}{name}", value, "one line, without control characters")
        return {name: given.get(name, "") for name in names}

    def _names(self, given: dict[str, Any], at: str, name: str) -> tuple[str, ...]:
        value = given.get(name, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            self._wrong(f"{at}{name}", value, 'a list of names, such as ["ana", "ben"]')
        for number, each in enumerate(value):
            self._texts({name: each}, at, name)
            if not each or each in value[:number]:
                self._wrong(f"{at}{name}", value, "names, none empty and none twice")
        return tuple(value)

    def _table(self, given: Any, at: str) -> dict[str, Any]:
        if not isinstance(given, dict):
            self._wrong(at, given, "a table")
        found: dict[str, Any] = given
        return found

    def _only(self, given: dict[str, Any], at: str, names: tuple[str, ...]) -> None:
        for name in given:
            if name not in names:
                raise BadPlan(
                    self.path, f"{at}{name} is not known; expected one of {', '.join(names)}."
                )

    def _wrong(self, at: str, value: Any, expected: str) -> NoReturn:
        raise BadPlan(self.path, f"{at} is {value!r:.200}; expected {expected}.")


def _reaches(start: str, end: str, following: Callable[[str], tuple[str, ...]]) -> bool:
    """Whether a way of one step or more leads from one to the other."""
    seen, left = set[str](), list(following(start))
    while left:
        each = left.pop()
        if each == end:
            return True
        if each not in seen:
            seen.add(each)
            left += following(each)
    return False

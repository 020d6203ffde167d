"""What tests ask of a plan."""

from __future__ import annotations

from prefs.engine.status import Status as Look
from prefs.plan.build import build
from prefs.plan.evidence import Evidence, gather
from prefs.plan.model import Plan, Result, Task
from prefs.plan.team import Team
from prefs.rehearsal import recorded
from tests.prefs.rehearsal.test_report import CLEAN
from tests.support.steps import ALIAS, SOON


def evidence() -> Evidence:
    """What there is of it now, with soaks that are over at once."""
    return gather(ALIAS, SOON)


def look() -> Look:
    """The look at the database in it."""
    found = evidence().found
    assert found is not None
    return found


def plan(found: Evidence | None = None, team: Team | None = None) -> Plan:
    """The plan by it."""
    return build(found or evidence(), team or Team())


def criterion(key: str, of: Plan | None = None) -> Result:
    """One criterion, of a task or of success."""
    made = of or plan()
    [found] = [each for each in (*made.criteria, *made.success) if each.key == key]
    return found


def unmet(of: Plan | None = None) -> set[str]:
    """The criteria of tasks that are unmet."""
    return {each.key for each in (of or plan()).criteria if not each.met}


def task(key: str, of: Plan | None = None) -> Task:
    """One task."""
    [found] = [each for each in (of or plan()).tasks if each.key == key]
    return found


def statuses(of: Plan | None = None) -> list[str]:
    """How the tasks stand, in their order."""
    return [str(each.status) for each in (of or plan()).tasks]


def record_a_rehearsal(**changed: object) -> None:
    """A clean one of this release and mapping, unless the record of it says otherwise."""
    made = recorded.record(CLEAN, ALIAS)
    for name, value in changed.items():
        setattr(made, name, value)
    made.save()

"""PREFS_PLAN: what a team says of its plan is in it; what makes no sense is refused by its key."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import override_settings

from prefs.plan import team
from tests.prefs.plan.asking import plan, statuses, task
from tests.support.running import run

HERE = "tests.prefs.plan.test_team"
WHOLE = f"""
title = "Shop: preferences out of JSON"
specification = "https://wiki.example.com/preferences"
sprint = "24"
assignees = ["ana"]

[tasks.backfill]
title = "Copy the documents"
priority = "critical"
sprint = "25"
assignees = ["ben", "chi"]

[[tasks.backfill.criteria]]
text = "The nightly export was told."
check = "{HERE}.told"

[tasks.invoices]
title = "Move the invoices' copy"
phase = "contract"
context = "Invoices keep a copy of the language."
blocked_by = ["reads"]

[[tasks.invoices.criteria]]
text = "Every invoice has its own language."
check = "{HERE}.not_told"
"""
OWN = '[tasks.mine]\ntitle = "Mine"\nphase = "expand"\n'
CRITERION = '[[tasks.mine.criteria]]\ntext = "It is."\ncheck = "a.b"\n'
WRONG = {
    "tilte = 'x'": "tilte is not known; expected one of title, specification, sprint,",
    "title = 5": "title is 5; expected a text",
    "title = ' x '": "title is ' x '; expected a text without spaces around it",
    'title = "a\\nb"': "expected one line, without control characters",
    'title = "a\\u001b[31mb"': "expected one line, without control characters",
    "assignees = 'ana'": 'assignees is \'ana\'; expected a list of names, such as ["ana", "ben"]',
    "assignees = ['ana', 'ana']": "expected names, none empty and none twice",
    "assignees = ['']": "expected names, none empty and none twice",
    "assignees = [1]": "assignees is [1]; expected a list of names",
    "tasks = 5": "tasks is 5; expected a table",
    "[tasks]\nschema = 5": "tasks.schema is 5; expected a table",
    "[tasks.schema]\npriority = 'urgent'": "tasks.schema.priority is 'urgent'; expected one of"
    " critical, high, medium, low",
    "[tasks.schema]\nstatus = 'done'": "tasks.schema.status is not known; expected one of title,",
    "[tasks.schema]\nblocked_by = []": "tasks.schema.blocked_by is not known",
    "[tasks.schema]\nphase = 'expand'": "tasks.schema.phase is not known",
    "[tasks.schema]\ncriteria = 5": "tasks.schema.criteria is 5; expected tables, each under",
    "[[tasks.schema.criteria]]\ntext = 'x'": "tasks.schema.criteria[0].check is ''; expected a",
    "[[tasks.schema.criteria]]\ncheck = 'x.y'": "tasks.schema.criteria[0].text is ''; expected a",
    "[[tasks.schema.criteria]]\ntext = 'x'\ncheck = 'y'": "criteria[0].check is 'y'; expected the",
    "[[tasks.schema.criteria]]\ntext = 'x'\nmet = true": "criteria[0].met is not known",
    "[tasks.mine]\nphase = 'expand'": "tasks.mine.title is ''; expected a title",
    "[tasks.mine]\ntitle = 'x'": "tasks.mine.phase is ''; expected one of expand, backfill,",
    OWN: "tasks.mine.criteria is []; expected at least one",
    OWN + "blocked_by = ['yours']\n" + CRITERION: "tasks.mine.blocked_by is 'yours'; expected one",
    OWN + "blocked_by = ['mine']\n" + CRITERION: "expected an order: a task cannot wait for itself",
    "title": "it is not TOML: ",
    "title = 'a'\ntitle = 'b'": "it is not TOML: ",
    f"x = {'[' * 5000}{']' * 5000}": "it is not TOML: ",
}


def told(alias: str) -> tuple[bool, str]:
    """A criterion of the team's that is met."""
    return True, f"3 of 3 in {alias}"


def not_told(alias: str) -> tuple[bool, str]:
    """And one that is not."""
    return False, "12 of 40 invoices"


def nothing(alias: str) -> None:
    """One that judges nothing."""


def raises(alias: str) -> tuple[bool, str]:
    """One that fails."""
    return True, str(1 / 0)


def written(folder: Path, text: str) -> str:
    """The path of a team's file."""
    file = folder / "plan.toml"
    file.write_text(text)
    return str(file)


def test_what_a_team_says_is_in_the_plan(site: str, tmp_path: Path) -> None:
    made = plan(team=team.read(written(tmp_path, WHOLE)))
    assert (made.title, made.specification[:12]) == (
        "Shop: preferences out of JSON",
        "https://wiki",
    )
    copied = task("backfill", made)
    assert (copied.title, copied.priority, copied.sprint) == (
        "Copy the documents",
        "critical",
        "25",
    )
    assert copied.assignees == ("ben", "chi")
    assert (copied.criteria[-1].met, copied.criteria[-1].figure) == (True, "3 of 3 in default")
    others = task("schema", made)
    assert (others.priority, others.sprint, others.assignees) == ("high", "24", ("ana",))
    assert task("dual_write", made).blocked_by == ("Write migration SQL scripts", copied.title)


def test_a_task_of_its_own_waits_counts_and_stands_with_its_phase(
    site: str, tmp_path: Path
) -> None:
    made = plan(team=team.read(written(tmp_path, WHOLE)))
    own = task("invoices", made)
    assert (own.number, own.phase, own.priority) == (6, "Contract", "medium")
    assert own.blocked_by == ("Update read queries",)
    assert "Move the invoices' copy" in task("reads", made).blocks
    assert made.phases[4].tasks == ("Rollback plan and monitoring", "Move the invoices' copy")
    assert (statuses(made)[5], own.criteria[0].figure) == ("blocked", "12 of 40 invoices")


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_what_makes_no_sense_is_refused_by_its_key(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(team.BadPlan) as refused:
        team.read(path)
    said = str(refused.value)
    assert said.startswith(f"{path} (PREFS_PLAN): ")
    assert WRONG[text] in said
    assert refused.value.exit_status == 2


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(team.BadPlan, match=r"cannot be read \(No such file"):
        team.read(str(tmp_path / "nowhere.toml"))
    with pytest.raises(team.BadPlan, match=r"cannot be read \(Is a directory"):
        team.read(str(tmp_path))
    file = tmp_path / "latin.toml"
    file.write_bytes(b"title = '\xe9'")
    with pytest.raises(team.BadPlan, match="not UTF-8, at byte 9"):
        team.read(str(file))


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (f"{HERE}.gone", "cannot be imported"),
        ("no.such.module", "cannot be imported"),
        (f"{HERE}.raises", "raised ZeroDivisionError: division by zero."),
        (f"{HERE}.nothing", "returned None. It takes a database alias and returns whether"),
    ],
)
def test_a_function_that_judges_nothing_is_named(
    site: str, tmp_path: Path, check: str, said: str
) -> None:
    text = f'[[tasks.schema.criteria]]\ntext = "It is."\ncheck = "{check}"\n'
    with override_settings(PREFS_PLAN=written(tmp_path, text)):
        outcome = run("plan_prefs")
    assert (outcome.status, outcome.out) == (1, "")
    assert f"The criterion's function {check} (PREFS_PLAN) {said}" in outcome.err


def test_the_command_exits_2_for_a_bad_file_and_names_it(site: str, tmp_path: Path) -> None:
    with override_settings(PREFS_PLAN=written(tmp_path, "sprint = 24")):
        outcome = run("plan_prefs", "--json")
    assert outcome.status == 2
    assert "sprint is 24; expected a text" in outcome.json["error"]

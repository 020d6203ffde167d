"""plan_prefs prints one plan as text, Markdown, HTML and JSON, whatever people have written."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from django.test import override_settings

from prefs.engine.audit import Signature, acting_as
from prefs.engine.states import State
from prefs.plan.document import Bullets, Checks, Facts, document
from prefs.plan.formats import html, markdown, text
from prefs.plan.formats.figures import figures
from prefs.plan.model import Plan
from prefs.routing import DUAL_WRITE
from tests.prefs.plan.asking import plan, record_a_rehearsal
from tests.support import scratch
from tests.support.running import run
from tests.support.steps import add_users, go, take
from tests.support.tampering import remove_switches

HOSTILE = 'a | b <script>alert("x")</script> *so* _it_ [is](x) `odd\n\x1b[31m# not ~ a heading'
VOID = {"meta"}


def hostile() -> Plan:
    """A plan with a reason in its record that would be markup anywhere."""
    add_users({"theme": "dark"})
    with acting_as(Signature(actor="<b>ana</b>", reason=HOSTILE)):
        go(State.DUAL_WRITE)
    # As the tester of `go` signs for itself.
    made = plan()
    note = made.log[-1]
    odd = type(note)(at=note.at, who="<b>ana</b>", what=HOSTILE, detail=HOSTILE)
    return type(made)(**{**vars(made), "summary": f"# {HOSTILE}", "log": (*made.log, odd)})


class Tags(HTMLParser):
    """Fails unless every element is closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.names += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_its_json_has_what_is_promised(site: str) -> None:
    found = run("plan_prefs", "--json").json
    assert [phase["title"] for phase in found["phases"]] == [
        "Expand",
        "Backfill",
        "Dual-write",
        "Read cutover",
        "Contract",
    ]
    assert [each["title"] for each in found["tasks"]] == [
        "Write migration SQL scripts",
        "Implement backfill job",
        "Add dual-write logic to API",
        "Update read queries",
        "Rollback plan and monitoring",
    ]
    for task in found["tasks"]:
        assert {"title", "status", "blocked_by", "blocks", "criteria", "percent"} <= task.keys()
        for each in task["criteria"]:
            assert {"text", "met", "figure"} <= each.keys()
            assert isinstance(each["met"], bool)
            assert each["text"]
            assert each["figure"]
    assert found["tasks"][2]["blocked_by"] == [each["title"] for each in found["tasks"][:2]]
    assert (found["state"], found["done"]) == ("expanded", False)


def test_check_exits_3_while_anything_is_unmet(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("plan_prefs", "--check").status == 3
    assert run("plan_prefs").status == 0
    take(State.DROPPED)
    record_a_rehearsal()
    assert run("plan_prefs", "--check").status == 3
    with override_settings(ROOT_URLCONF="tests.prefs.plan.urls"):
        outcome = run("plan_prefs", "--check", "--json")
    assert (outcome.status, outcome.json["done"], outcome.json["percent"]) == (0, True, 100)


def test_before_migrate_the_plan_is_there_and_nothing_is_done(
    copies: scratch.Copies, site: str
) -> None:
    with scratch.database() as name, scratch.pointed_at(name):
        found = run("plan_prefs", "--json").json
        assert (found["state"], found["next_command"]) == ("not migrated", "manage.py migrate")
        status = [each["status"] for each in found["tasks"]]
        assert status == ["not started", *["blocked"] * 4]
        assert (found["timeline"], found["log"]) == ([], [])
        assert "Nothing has been done yet." in run("plan_prefs").out


def test_a_missing_switch_is_said_as_by_every_command(site: str) -> None:
    remove_switches(DUAL_WRITE)
    outcome = run("plan_prefs")
    assert outcome.status == 1
    assert "Run `manage.py status_prefs`: it prints the command" in outcome.err


def test_its_markdown_has_every_part_in_order(site: str) -> None:
    lines = run("plan_prefs", "--format", "markdown").out.splitlines()
    titles = [line for line in lines if line.startswith("#")]
    assert [line for line in titles if not line.startswith("###")] == [
        "# Implementation plan: user preferences from a JSON column to typed tables",
        "## Overview",
        "## Requirements",
        "## Phases",
        "## Tasks",
        "## Risks",
        "## Rollback plan",
        "## Success criteria",
        "## Timeline",
        "## Progress log",
    ]
    assert [line for line in titles if line.startswith("### ")] == [
        *(f"### {each}" for each in ("Current", "Target", "Must maintain", "Performance")),
        "### Phase 1: Expand (done)",
        "### Phase 2: Backfill (not started)",
        "### Phase 3: Dual-write (blocked)",
        "### Phase 4: Read cutover (blocked)",
        "### Phase 5: Contract (blocked)",
        "### Task 1: Write migration SQL scripts (done)",
        "### Task 2: Implement backfill job (not started)",
        "### Task 3: Add dual-write logic to API (blocked)",
        "### Task 4: Update read queries (blocked)",
        "### Task 5: Rollback plan and monitoring (blocked)",
    ]
    made = plan()
    assert sum(line.startswith("- [x] ") for line in lines) == made.met + 1
    open_ = len(made.criteria) - made.met + 3
    assert sum(line.startswith("- [ ] ") for line in lines) == open_
    assert all(line.count("|") - line.count(r"\|") in (0, *range(3, 9)) for line in lines)


def test_what_people_wrote_is_text_in_every_format(site: str) -> None:
    made = hostile()
    as_text = text.lines(made)
    assert max(map(len, as_text)) <= text.WIDTH
    assert not any("\x1b" in line for line in as_text)
    as_markdown = markdown.text(made)
    assert r"\# a \| b \<script\>alert" in as_markdown
    assert r"\*so\* \_it\_ \[is\](x) \`odd" in as_markdown
    assert "\x1b" not in as_markdown
    last = as_markdown.splitlines()[-1]
    assert len(re.findall(r"(?<!\\)\|", last)) == 4
    as_html = html.page(made)
    assert "<script" not in as_html
    assert "&lt;b&gt;ana&lt;/b&gt;" in as_html
    tags = Tags()
    tags.feed(as_html)
    assert tags.open == []
    assert len(tags.names) == len(set(tags.names))
    assert {"h1", "h2", "h3", "table", "dl", "code"} <= tags.seen


def test_no_two_lists_follow_each_other_which_markdown_would_take_for_one(site: str) -> None:
    add_users({})
    go(State.MIRROR_OFF)
    take(State.READ_CUTOVER, forward=False)
    lists = [isinstance(each, Bullets | Facts | Checks) for each in document(plan())]
    assert (True, True) not in set(pairwise(lists))


@pytest.mark.parametrize("width", [80, 90, 100])
def test_text_keeps_to_the_width_in_every_line(site: str, width: int) -> None:
    add_users({"theme": "purple"})
    go(State.READ_CUTOVER)
    lines = text.lines(plan(), width)
    assert max(map(len, lines)) <= width
    assert [line for line in lines if line != line.rstrip()] == []


def test_html_is_one_file_that_asks_for_nothing(site: str, tmp_path: Path) -> None:
    out = run("plan_prefs", "--format", "html").out
    assert out.startswith("<!doctype html>")
    assert not re.search(r"https?://|\bsrc=|\bhref=|url\(|@import", out)


def test_the_plan_in_docs_has_what_is_printed_now(site: str) -> None:
    """Its figures are of one rehearsal; write it anew (`rehearse_prefs --plan`) when this fails."""
    shown = (scratch.ROOT / "docs" / "plan-of-a-rehearsal.md").read_text().splitlines()
    now = markdown.text(plan()).splitlines()

    def headings(lines: list[str]) -> list[str]:
        return [line.partition(" (")[0] for line in lines if line.startswith("#")]

    def criteria(lines: list[str]) -> list[str]:
        return [line[6:].partition(" *")[0] for line in lines if line.startswith("- [")]

    assert headings(shown) == headings(now)
    assert criteria(shown) == criteria(now)
    assert [line for line in shown if line.startswith("- [ ] ")] == [
        "- [ ] The figures of the migration are served to monitoring. *the site's urlconf has no"
        " page named `prefs_metrics` to scrape*"
    ]


def test_a_long_log_is_shown_from_its_end_and_whole_in_json(site: str) -> None:
    made = plan()
    [note] = made.log
    notes = tuple(replace(note, what=f"entry {number}") for number in range(130))
    long = replace(made, log=notes)
    shown = markdown.text(long)
    assert "\n30 earlier entries are in `plan_prefs --json`.\n" in shown
    assert "| entry 30 |" in shown
    assert "| entry 29 |" not in shown
    assert len(figures(long)["log"]) == 130

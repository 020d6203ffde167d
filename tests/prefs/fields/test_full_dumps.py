"""A dump of everything, loaded into another site: the documents travel, the migration does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pytest_django import DjangoDbBlocker

from prefs.engine.states import State
from prefs.models import UserPreferences
from tests.support import scratch
from tests.support.running import run
from tests.support.steps import add_users, differences, go, rows, state

DOCUMENTS: tuple[Any, ...] = (
    {"theme": "dark", "n": 1.0},
    None,
    {},
    [1],
    {"theme": "purple", "notifications": 5},
)


def texts() -> dict[str, str | None]:
    """Every document, by the name of its user."""
    names = dict(rows("SELECT id, username FROM accounts_user"))
    return {names[key]: text for key, text in UserPreferences.objects.texts(names).items()}


def of_the_migration() -> list[list[tuple[object, ...]]]:
    """What says how far this database is, and how it came there."""
    return [
        rows(f"SELECT * FROM {table} ORDER BY 1")
        for table in ("waffle_switch", "prefs_transition", "prefs_run", "prefs_audit")
    ]


def dumped(
    copies: scratch.Copies, source: State, file: Path, *options: str
) -> dict[str, str | None]:
    """What the documents of a site in that state are, whole in a file."""
    with copies.one() as name, scratch.pointed_at(name):
        add_users(*DOCUMENTS)
        go(source)
        before = texts()
        outcome = run("dumpdata", "--output", str(file), "-v", "0", *options)
        assert outcome.status == 0, outcome.err
    return before


@pytest.mark.slow
@pytest.mark.parametrize("source", State)
def test_a_full_dump_is_loaded_into_a_site_in_any_state(
    copies: scratch.Copies, source: State, tmp_path: Path, django_db_blocker: DjangoDbBlocker
) -> None:
    """Case C9: from each state into a fresh site, and into one that has come as far."""
    file = tmp_path / "site.json"
    with django_db_blocker.unblock():
        before = dumped(copies, source, file)
        kinds = {entry["model"] for entry in json.loads(file.read_text())}
        assert {"accounts.user", "waffle.switch"} <= kinds
        assert source is State.EXPANDED or "prefs.transition" in kinds
        for target in dict.fromkeys((State.EXPANDED, source)):
            with copies.one() as name, scratch.pointed_at(name):
                go(target)
                own = of_the_migration()
                for _ in range(2):
                    outcome = run("loaddata", "--exclude", "prefs", str(file))
                    assert outcome.status == 0, outcome.err
                    assert texts() == before
                    assert of_the_migration() == own
                    assert state() is target
                if target in (State.DUAL_WRITE, State.READ_CUTOVER):
                    assert differences() == []


@pytest.mark.parametrize("source", [State.DUAL_WRITE, State.DROPPED], ids=str)
def test_a_full_dump_without_the_option_is_refused_whole(
    copies: scratch.Copies, source: State, tmp_path: Path, django_db_blocker: DjangoDbBlocker
) -> None:
    """Case C9: nothing of it is loaded, and the sentence names the option."""
    file = tmp_path / "site.json"
    with django_db_blocker.unblock():
        before = dumped(copies, source, file)
        with copies.one() as name, scratch.pointed_at(name):
            outcome = run("loaddata", str(file))
            assert outcome.status == 4
            assert "loaddata --exclude prefs" in outcome.err
            assert texts() == {}
        dumped(copies, source, file, "--exclude", "prefs")
        with copies.one() as name, scratch.pointed_at(name):
            assert run("loaddata", str(file)).status == 0
            assert texts() == before


@pytest.mark.parametrize("kind", ["json", "jsonl", "xml"])
def test_every_format_leaves_the_switches_of_this_database_alone(
    copies: scratch.Copies, kind: str, tmp_path: Path, django_db_blocker: DjangoDbBlocker
) -> None:
    """Case C9: a switch of the site's own is loaded, ours are not."""
    file = tmp_path / f"switches.{kind}"
    with django_db_blocker.unblock(), copies.one() as name, scratch.pointed_at(name):
        run("waffle_switch", "of_the_site", "on", "--create")
        go(State.DUAL_WRITE)
        run("dumpdata", "waffle.switch", "--format", kind, "--output", str(file), "-v", "0")
        go(State.EXPANDED)
        run("waffle_switch", "of_the_site", "off")
        assert run("loaddata", str(file)).status == 0
        assert state() is State.EXPANDED
        assert rows("SELECT active FROM waffle_switch WHERE name = 'of_the_site'") == [(True,)]

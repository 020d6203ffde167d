"""status_prefs shows everything at one look, and repairs nothing by itself."""

from __future__ import annotations

import pytest

from prefs.engine.states import State
from prefs.models import UserPreferences
from prefs.routing import DUAL_WRITE, READ_TABLES
from tests.support.running import run
from tests.support.steps import add_users, copy_all, go, rows, state, take, value, verify_all
from tests.support.tampering import drop_column, remove_switches


def test_it_shows_state_route_progress_gates_and_runs(site: str) -> None:
    add_users({"theme": "dark"}, {"theme": "purple"}, None)
    copy_all()
    add_users({})
    outcome = run("status_prefs")
    assert (outcome.status, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0].startswith("state        expanded, for ")
    assert lines[1:7] == [
        "next         Run `manage.py advance_prefs --to dual_write`: from then on every write goes"
        " to both stores.",
        "route        BLOB",
        "users        4, 3 of them with typed rows",
        "differences  unknown: no verification of all users is on record",
        "quarantine   1 leaves: manage.py quarantine_prefs",
        "  theme: 1",
    ]
    assert "expanded to dual_write   manage.py advance_prefs --to dual_write" in lines
    assert any(line.startswith("  met   tables_intact: ") for line in lines)
    assert any(line.startswith("  UNMET no_users: there are users. Take") for line in lines)
    assert any("done, copy, 3 users, pid " in line for line in lines)


@pytest.mark.parametrize("reached", list(State))
def test_it_works_in_every_state(site: str, reached: State) -> None:
    add_users({"theme": "dark"})
    go(reached)
    found = run("status_prefs", "--json")
    assert found.status == 0
    assert (found.json["state"], found.json["route"]) == (reached, reached.route.name)
    assert found.json["settled"] is True
    assert run("status_prefs").out.startswith(f"state        {reached}, for ")


def test_check_exits_3_on_differences_until_they_are_gone(site: str) -> None:
    add_users({"theme": "dark"})
    assert run("status_prefs", "--check").status == 0
    take(State.DUAL_WRITE)
    verify_all()
    assert run("status_prefs", "--check").status == 3
    assert run("status_prefs").status == 0
    copy_all()
    verify_all()
    assert run("status_prefs", "--check").status == 0


def test_check_exits_3_on_quarantine(site: str) -> None:
    add_users({"theme": "purple"})
    copy_all()
    outcome = run("status_prefs", "--check", "--json")
    assert outcome.status == 3
    assert outcome.json["quarantined"] == {"theme": 1}


def test_an_open_transition_is_shown(site: str) -> None:
    take(State.DUAL_WRITE)
    rows("UPDATE prefs_transition SET settled_at = NULL")
    assert run("status_prefs", "--json").json["settled"] is False
    assert "unsettled    expanded to dual_write: run the command" in run("status_prefs").out


@pytest.mark.parametrize("names", [[DUAL_WRITE], [READ_TABLES], [DUAL_WRITE, READ_TABLES]])
@pytest.mark.parametrize("reached", [State.EXPANDED, State.READ_CUTOVER, State.DROPPED])
def test_the_command_it_prints_for_a_missing_switch_repairs_it(
    site: str, reached: State, names: list[str]
) -> None:
    [user] = add_users({"theme": "dark"})
    go(reached)
    remove_switches(*names)
    found = run("status_prefs", "--json")
    assert found.status == 1
    assert len(found.json["repairs"]) == len(names)
    shown = run("status_prefs")
    assert shown.status == 1
    assert shown.out.splitlines()[0].startswith("A switch row is missing")
    refused = run("advance_prefs")
    assert refused.status == 1
    assert "Run `manage.py status_prefs`: it prints the command" in refused.err
    for line in shown.out.splitlines()[1:]:
        assert run(*line.split()[1:]).status == 0
    assert (state(), run("status_prefs").status) == (reached, 0)
    assert UserPreferences.objects.document(user) == {"theme": "dark"}


def test_switches_that_contradict_the_column_are_an_error_that_says_so(site: str) -> None:
    drop_column()
    outcome = run("status_prefs", "--json")
    assert outcome.status == 1
    assert "the column they route to was dropped" in outcome.json["error"]
    assert value("SELECT count(*) FROM prefs_transition") == 0

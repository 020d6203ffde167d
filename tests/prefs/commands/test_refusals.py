"""The exit statuses of real processes, and what they say: a sentence, never a traceback."""

from __future__ import annotations

import os

import pytest

from prefs.engine.flips import TRANSITION_LOCK
from prefs.engine.states import State
from prefs.models import Run, Transition
from prefs.routing import DUAL_WRITE
from tests.prefs.commands.processes import cut_up
from tests.support import scratch
from tests.support.refusals import records
from tests.support.running import run
from tests.support.steps import add_users, go, rows, state, until, waiting_for_locks
from tests.support.tampering import remove_switches

COMMANDS = [
    ["status_prefs"],
    ["backfill_prefs", "--json"],
    ["verify_prefs"],
    ["advance_prefs", "--json"],
    ["rollback_prefs"],
    ["seed_prefs", "--users", "1", "--json"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_database_that_is_down_is_one_sentence_and_status_1(command: list[str]) -> None:
    environ = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "DATABASE_URL": "postgres://nobody:wrong@127.0.0.1:1/nowhere",
        "SECRET_KEY": "only for this test",
    }
    outcome = scratch.manage(environ, *command)
    assert outcome.returncode == 1
    assert "The database 'default' cannot be reached, or went away: " in outcome.stderr
    assert "DATABASE_URL is right" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert outcome.stdout.count("\n") == ("--json" in command)
    assert "wrong" not in outcome.stderr


REFUSED = {
    "a gate that is unmet": (State.DUAL_WRITE, "advance_prefs", 4, "verified: no verification"),
    "an order that does not exist": (
        State.EXPANDED,
        "advance_prefs --to read_cutover",
        4,
        "From expanded it can go to dual_write or dropped",
    ),
    "a drop before its time": (
        State.MIRROR_OFF,
        "advance_prefs --noinput",
        4,
        "contract_soak: ",
    ),
    "a state that does not exist": (
        State.EXPANDED,
        "advance_prefs --to contracted",
        2,
        "invalid State value: 'contracted'",
    ),
    "copying over the primary": (State.READ_CUTOVER, "backfill_prefs", 4, "are the primary"),
    "a reverse copy over the primary": (
        State.EXPANDED,
        "backfill_prefs --reverse",
        4,
        "the blob is the primary",
    ),
    "differences": (State.EXPANDED, "verify_prefs", 3, ""),
    "nothing to compare": (State.DROPPED, "verify_prefs", 4, "The column was dropped"),
    "seeds that nobody reads": (State.READ_CUTOVER, "seed_prefs --users 1", 4, "read_cutover"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_has_its_status_says_why_and_changes_nothing(site: str, name: str) -> None:
    reached, command, status, said = REFUSED[name]
    add_users({"theme": "dark"})
    go(reached)
    before = records()
    outcome = scratch.manage(scratch.environment(site), *command.split())
    assert (outcome.returncode, said in outcome.stderr) == (status, True)
    assert "Traceback" not in outcome.stderr
    assert records() == before


def test_a_missing_switch_is_status_1_everywhere_and_names_the_repair(site: str) -> None:
    add_users({"theme": "dark"})
    remove_switches(DUAL_WRITE)
    environ = scratch.environment(site)
    refused = scratch.manage(environ, "advance_prefs")
    assert refused.returncode == 1
    assert "The row of the waffle switch prefs_dual_write is missing" in refused.stderr
    shown = scratch.manage(environ, "status_prefs")
    assert shown.returncode == 1
    command = "waffle_switch prefs_dual_write off --create"
    assert f"manage.py {command}\n" in shown.stdout
    assert scratch.manage(environ, *command.split()).returncode == 0
    assert scratch.manage(environ, "advance_prefs").returncode == 0
    assert state() is State.DUAL_WRITE


def test_of_two_processes_that_advance_at_once_one_is_refused(site: str) -> None:
    environ = scratch.environment(site)
    with scratch.connect(site) as session:
        session.execute("BEGIN")
        session.execute("SELECT pg_advisory_xact_lock(%s)", [TRANSITION_LOCK])
        both = [scratch.start(environ, "advance_prefs", "--to", "dual_write") for _ in range(2)]
        until(lambda: waiting_for_locks("locktype = 'advisory'") == 2, 20)
        session.execute("COMMIT")
    errors = [process.communicate(timeout=20)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 4]
    assert "was not taken: the state is dual_write by now" in "".join(errors)
    assert Transition.objects.count() == 1


def test_a_run_that_is_held_is_status_5(site: str) -> None:
    add_users({"theme": "dark"})
    cut_up(1)
    rows("UPDATE prefs_range SET lease_until = now() + interval '30 s'")
    outcome = scratch.manage(scratch.environment(site), "backfill_prefs", "--restart")
    assert outcome.returncode == 5
    assert "Its lease ends in" in outcome.stderr


@pytest.mark.parametrize("command", ["status_prefs", "verify_prefs", "advance_prefs"])
def test_the_other_database_is_worked_on_when_it_is_named(site: str, command: str) -> None:
    with scratch.aliased(site) as alias:
        assert run(command, "--database", alias).status == 0
    assert run(command, "--database", "elsewhere").status == 2


@pytest.mark.parametrize("wrong", [{"verification_ttl": "24h"}, {"lease": -1}])
def test_a_wrong_setting_is_named_with_its_value(site: str, wrong: dict[str, object]) -> None:
    [setting] = wrong
    outcome = scratch.manage(scratch.environment(site, **wrong), "backfill_prefs", "--json")
    assert outcome.returncode == 1
    assert f"PREFS_{setting.upper()} is " in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert outcome.stdout.count("\n") == 1
    assert not Run.objects.exists()


def test_an_error_that_nobody_foresaw_is_still_one_json_object(site: str) -> None:
    rows("ALTER TABLE prefs_run RENAME COLUMN retries TO elsewhere")
    outcome = scratch.manage(scratch.environment(site), "verify_prefs", "--json")
    assert outcome.returncode == 1
    assert outcome.stdout.count("\n") == 1
    assert '"status": 1' in outcome.stdout

"""advance_prefs takes the next transition, or says which gates are unmet and what meets them."""

from __future__ import annotations

import getpass
import os
import pty
import subprocess
import sys
from datetime import timedelta

import pytest
from pytest_django import Settings as DjangoSettings

from prefs.engine.states import State
from prefs.models import Transition
from tests.support import scratch
from tests.support.refusals import records
from tests.support.running import run
from tests.support.steps import add_users, copy_all, go, state, verify_all


@pytest.fixture(autouse=True)
def _soon(settings: DjangoSettings) -> None:
    settings.PREFS_CUTOVER_SOAK = settings.PREFS_CONTRACT_SOAK = timedelta(0)


def test_it_goes_all_the_way_one_state_at_a_time(site: str) -> None:
    add_users({"theme": "dark"})
    for target in list(State)[1:]:
        if target is State.READ_CUTOVER:
            assert run("backfill_prefs").status == 0
        if target in (State.READ_CUTOVER, State.MIRROR_OFF):
            assert run("verify_prefs").status == 0
        outcome = run("advance_prefs", "--noinput", "--json", "--reason", "the plan")
        assert outcome.status == 0
        assert (outcome.json["state"], outcome.json["settled"]) == (target, True)
        assert all(gate["met"] for gate in outcome.json["gates"])
        assert state() is target
    reasons = set(Transition.objects.values_list("reason", flat=True))
    actors = {actor.split("@")[0] for actor in Transition.objects.values_list("actor", flat=True)}
    assert (reasons, actors) == ({"the plan"}, {getpass.getuser()})


def test_it_says_what_it_did(site: str) -> None:
    outcome = run("advance_prefs", "--to", "dual_write")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith("expanded to dual_write: done, settled in ")
    again = run("advance_prefs", "--to", "dual_write")
    assert (again.status, again.out) == (0, "Nothing to do: the state is dual_write already.\n")


def test_a_refusal_names_every_unmet_gate_and_what_meets_it(site: str) -> None:
    add_users({"theme": "dark"})
    go(State.DUAL_WRITE)
    before = records()
    outcome = run("advance_prefs")
    assert (outcome.status, outcome.out) == (4, "")
    assert "dual_write to read_cutover was refused; nothing was changed" in outcome.err
    assert "verified: no verification of all users is on record." in outcome.err
    assert "Run `manage.py backfill_prefs`" in outcome.err
    assert records() == before


def test_a_refusal_as_json_is_one_object(site: str) -> None:
    go(State.DUAL_WRITE)
    outcome = run("advance_prefs", "--json")
    assert outcome.status == 4
    assert outcome.json["status"] == 4
    [gate] = [each for each in outcome.json["gates"] if not each["met"]]
    assert gate["gate"] == "verified"
    assert gate["remedy"] in outcome.json["error"]


def test_a_dry_run_evaluates_the_gates_and_changes_nothing(site: str) -> None:
    before = records()
    outcome = run("advance_prefs", "--dry-run")
    assert outcome.status == 0
    assert outcome.out.startswith("expanded to dual_write: flip the switch, then drain\n  met ")
    assert records() == before
    go(State.DUAL_WRITE)
    before = records()
    refused = run("advance_prefs", "--dry-run", "--json")
    assert (refused.status, refused.json["met"]) == (4, False)
    assert records() == before
    assert run("advance_prefs", "--dry-run", "--to", "dual_write").status == 0


def test_going_out_of_order_is_refused(site: str) -> None:
    outcome = run("advance_prefs", "--to", "mirror_off")
    assert outcome.status == 4
    assert "From expanded it can go to dual_write or dropped" in outcome.err
    assert (state(), Transition.objects.count()) == (State.EXPANDED, 0)


def test_a_drop_before_its_time_is_refused_without_asking(
    site: str, settings: DjangoSettings
) -> None:
    add_users({"theme": "dark"})
    go(State.MIRROR_OFF)
    settings.PREFS_CONTRACT_SOAK = timedelta(days=7)
    outcome = run("advance_prefs", "--to", "dropped")
    assert outcome.status == 4
    assert "of 604800 s in mirror_off. Wait, or change PREFS_CONTRACT_SOAK." in outcome.err
    assert state() is State.MIRROR_OFF


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_a_drop_with_no_terminal_to_ask_on_names_the_option(site: str, json: list[str]) -> None:
    go(State.MIRROR_OFF)
    environ = scratch.environment(site, contract_soak=timedelta(0))
    outcome = scratch.manage(environ, "advance_prefs", *json)
    assert outcome.returncode == 2
    assert "there is no terminal to ask on: add --noinput." in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert outcome.stdout.count("\n") == len(json)
    assert state() is State.MIRROR_OFF


@pytest.mark.parametrize(("answer", "status"), [("no", 1), ("yes", 0)])
def test_a_drop_is_taken_only_after_a_yes(site: str, answer: str, status: int) -> None:
    go(State.MIRROR_OFF)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "manage.py", "advance_prefs"],
        cwd=scratch.ROOT,
        env=scratch.environment(site, contract_soak=timedelta(0)),
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        os.write(ours, f"{answer}\n".encode())
        _, err = process.communicate(timeout=30)
    os.close(ours)
    os.close(theirs)
    assert b"This drops the column of preferences. Type yes to go on: " in err
    assert process.returncode == status
    assert state() is (State.DROPPED if answer == "yes" else State.MIRROR_OFF)


def test_it_never_runs_a_backfill_itself(site: str) -> None:
    add_users({"theme": "dark"})
    run("advance_prefs")
    assert run("advance_prefs").status == 4
    copy_all()
    verify_all()
    assert run("advance_prefs").status == 0

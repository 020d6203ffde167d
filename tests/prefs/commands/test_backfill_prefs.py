"""backfill_prefs: its options, its exit statuses, and what it prints where."""

from __future__ import annotations

import re

import pytest

from prefs.engine.states import State
from prefs.models import Run
from tests.prefs.commands.processes import cut_up
from tests.support.refusals import records
from tests.support.running import run
from tests.support.steps import add_users, differences, go, many_users, part_blob, rows, value


def test_it_copies_and_says_how_much(site: str) -> None:
    many_users(5)
    outcome = run("backfill_prefs", "--batch-size", "2")
    assert (outcome.status, differences()) == (0, [])
    did, took = outcome.out.splitlines()
    ended = r"done: 5 users copied, 0 differing, 0 overwritten, [345] batches, 0 retries\."
    assert re.fullmatch(f"{Run.objects.get()} {ended}", did)
    figure = r"[\d,]+\.\d MB"
    assert re.fullmatch(
        rf"Tables grew by {figure} \(foretold {figure}\); all sessions wrote {figure} of WAL since"
        rf" it began \(foretold {figure}\)\.",
        took,
    )
    assert outcome.err.startswith("blob to tables, about 5 users, route BLOB\n1. copy: ")


def test_as_json_it_is_one_object_and_progress_stays_on_stderr(site: str) -> None:
    many_users(5)
    go(State.DUAL_WRITE)
    outcome = run("backfill_prefs", "--json")
    measured = {"table_bytes", "wal_bytes", "predicted_table_bytes", "predicted_wal_bytes"}
    assert {key: outcome.json[key] for key in outcome.json.keys() - measured} == {
        "run": Run.objects.get().pk,
        "kind": "backfill",
        "status": "done",
        "phase": "catch_up",
        "users": 5,
        "copied": 5,
        "differing": 0,
        "repaired": 0,
        "batches": 2,
        "retries": 0,
    }
    assert measured < outcome.json.keys()
    assert "2. catch-up: " in outcome.err


def test_a_dry_run_prints_the_plan_and_changes_nothing(site: str) -> None:
    many_users(5)
    outcome = run("backfill_prefs", "--dry-run")
    assert outcome.status == 0
    assert outcome.out.splitlines()[0] == "blob to tables, about 5 users, route BLOB"
    assert run("backfill_prefs", "--dry-run", "--json").json["plan"] == outcome.out.splitlines()
    assert (value("SELECT count(*) FROM user_preferences"), Run.objects.count()) == (0, 0)


def test_a_second_run_copies_nobody(site: str) -> None:
    many_users(5)
    run("backfill_prefs")
    assert run("backfill_prefs", "--json").json["copied"] == 0


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_it_is_refused_where_the_tables_are_the_primary(site: str, dry: list[str]) -> None:
    add_users({"theme": "dark"})
    go(State.READ_CUTOVER)
    before = records()
    outcome = run("backfill_prefs", *dry)
    assert outcome.status == 4
    assert "the tables are the primary (route TABLES_MIRRORED)" in outcome.err
    assert "Run `manage.py backfill_prefs --reverse` instead." in outcome.err
    assert records() == before


def test_reverse_is_refused_where_the_blob_is_the_primary(site: str) -> None:
    add_users({"theme": "dark"})
    outcome = run("backfill_prefs", "--reverse", "--json")
    assert (outcome.status, outcome.json["status"]) == (4, 4)
    assert "the blob is the primary (route BLOB)" in outcome.json["error"]


def test_reverse_overwrites_the_blob_from_the_tables(site: str) -> None:
    [user] = add_users({"theme": "dark"})
    go(State.READ_CUTOVER)
    part_blob(user, {"theme": "light"})
    outcome = run("backfill_prefs", "--reverse", "--json")
    assert (outcome.status, outcome.json["repaired"], differences()) == (0, 1, [])


def test_without_the_column_it_is_refused(site: str) -> None:
    go(State.DROPPED)
    outcome = run("backfill_prefs")
    assert outcome.status == 4
    assert "rollback_prefs --to mirror_off" in outcome.err


def test_a_restart_is_refused_while_another_runs(site: str) -> None:
    many_users(1)
    cut_up(1)
    rows(
        "UPDATE prefs_range"
        " SET holder = 'pid 7 on elsewhere', lease_until = now() + interval '9 min'"
    )
    assert "refused until they have left it" in run("backfill_prefs", "--restart", "--dry-run").out
    outcome = run("backfill_prefs", "--restart", "--json")
    assert (outcome.status, outcome.json["status"]) == (5, 5)
    # It is told while the lease runs out: of nine minutes some seconds are gone.
    held = r"is held by pid 7 on elsewhere\. Its lease ends in 5[234]\d s"
    assert re.search(held, outcome.json["error"])


@pytest.mark.parametrize("arguments", [["--batch-size", "0"], ["--max-rate", "-1"], ["--nonsense"]])
def test_a_wrong_argument_is_a_usage_error(site: str, arguments: list[str]) -> None:
    outcome = run("backfill_prefs", *arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert "usage: manage.py backfill_prefs" in outcome.err
    assert not Run.objects.exists()


def test_restart_abandons_the_open_run(site: str) -> None:
    many_users(3)
    run("backfill_prefs")
    Run.objects.update(status="failed", users=1)
    found = f"{Run.objects.get()}, in its copy, after 1 users"
    assert f"resumes {found}" in run("backfill_prefs", "--dry-run").out
    assert f"abandons {found}" in run("backfill_prefs", "--restart", "--dry-run").out
    foretold = run("backfill_prefs", "--restart", "--dry-run", "--json").json
    assert (foretold["resumes"], foretold["abandons"]) == (None, Run.objects.get().pk)
    outcome = run("backfill_prefs", "--restart", "--json")
    assert (outcome.json["users"], outcome.json["copied"]) == (3, 0)
    assert Run.objects.filter(status="abandoned").count() == 1

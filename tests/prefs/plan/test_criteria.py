"""Each criterion about the present is unmet once what it asks for is not so any more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.db import transaction
from django.test import override_settings

from prefs.conf import Settings
from prefs.engine.audit import Signature, acting_as
from prefs.engine.batches import Control
from prefs.engine.quarantine import accept
from prefs.engine.states import Gate, State
from prefs.engine.transitions import take_transition
from prefs.plan.evidence import gather
from tests.prefs.plan.asking import criterion, evidence, plan, record_a_rehearsal, task, unmet
from tests.support.running import run
from tests.support.steps import ALIAS, SOON, add_users, copy_all, go, rows, take, verify_all

BROKEN = {
    "tables": "DROP INDEX prefs_email_digest",
    "keys": "ALTER TABLE user_preferences DROP CONSTRAINT user_preferences_user_id_fkey",
    "rights": "GRANT DELETE ON user_preferences TO PUBLIC",
    "triggers": "ALTER TABLE prefs_audit DISABLE TRIGGER USER",
    "no_mismatch": "INSERT INTO prefs_mismatch (user_id, leaves, times, first_found_at, found_at)"
    " SELECT id, '[\"theme\"]', 1, now(), now() FROM accounts_user",
}


@pytest.mark.parametrize("key", BROKEN)
def test_what_was_broken_is_unmet_and_named(site: str, key: str) -> None:
    add_users({})
    assert criterion(key).met
    rows(BROKEN[key])
    made = plan()
    assert not criterion(key, made).met
    named = {"tables": "prefs_email_digest", "keys": "user_id_fkey", "rights": "DELETE"}
    assert named.get(key, "") in criterion(key, made).figure
    assert criterion("intact", made).met is (key == "no_mismatch")


def test_a_migration_that_is_not_applied_is_all_there_is_to_do(site: str) -> None:
    with transaction.atomic():
        rows("DELETE FROM django_migrations WHERE app = 'prefs' AND name LIKE '0006%%'")
        made = plan()
        transaction.set_rollback(True)
    assert (made.state, made.next_command) == ("not migrated", "manage.py migrate")
    assert criterion("migrations", made).figure.startswith("5 of 6 applied, the last ")
    assert criterion("tables", made).figure == "`migrate` has not made the tables yet"
    assert [each.met for each in made.success] == [False] * 4


@pytest.mark.parametrize(
    ("key", "field"), [("reversible", "irreversible"), ("stored_by_route", "store_findings")]
)
def test_code_that_would_lose_something_is_named(site: str, key: str, field: str) -> None:
    found = evidence()
    assert criterion(key, plan(found)).met
    changed: dict[str, Any] = {field: ("0007: Raw SQL", "another")}
    wrong = replace(found.code, **changed)
    result = criterion(key, plan(replace(found, code=wrong)))
    assert (result.met, result.figure) == (False, "0007: Raw SQL, and 1 more")


def test_metrics_count_once_the_site_serves_them(site: str) -> None:
    with override_settings(ROOT_URLCONF="tests.prefs.plan.urls"):
        result = criterion("monitored")
    assert (result.met, result.figure) == (True, "served at `/metrics`")
    assert not criterion("monitored").met


def test_odd_values_count_as_settled_once_somebody_accepts_them(site: str) -> None:
    add_users({"theme": "purple"})
    copy_all()
    assert criterion("quarantine").figure == "theme: 1, not accepted"
    with acting_as(Signature(actor="ana", reason="old clients")):
        accept(ALIAS, "theme")
    made = plan()
    result = criterion("quarantine", made)
    assert (result.met, result.figure) == (True, "1 odd values are kept, all accepted")
    [decision] = task("backfill", made).decisions
    what = "accepted 1 odd values, at `theme`"
    assert (decision.who, decision.what, decision.detail) == ("ana", what, "old clients")


def test_a_gate_that_was_overridden_was_not_met(site: str) -> None:
    add_users({})
    copy_all()
    take(State.DUAL_WRITE)
    signature = Signature(actor="ana", reason="night", overrides=frozenset({Gate.VERIFIED}))
    with acting_as(signature):
        take_transition(ALIAS, State.READ_CUTOVER, SOON, Control(), forward=True)
    made = plan()
    result = criterion("verified", made)
    assert not result.met
    assert "by ana, 'night': `verified` (no verification of all users" in result.figure
    assert "9 of 10 gates met, overridden: `verified`" in criterion("cutover_taken", made).figure
    said = [each.what for each in task("reads", made).decisions]
    assert said == ["gate overridden: dual_write to read_cutover: verified"]
    # Verified now, gone back and verified there: then it was met before reads moved.
    verify_all()
    assert not criterion("verified").met
    take(State.DUAL_WRITE, forward=False)
    verify_all()
    assert criterion("verified").met


@pytest.mark.parametrize(
    ("changed", "figure"),
    [
        ({"is_clean": False}, "failed rehearsal "),
        ({"version": "0.0.1"}, "only of another release or mapping"),
        ({"fingerprint": "other"}, "only of another release or mapping"),
    ],
    ids=["not clean", "of another release", "of another mapping"],
)
def test_a_rehearsal_counts_that_was_clean_and_of_this_release_and_mapping(
    site: str, changed: dict[str, object], figure: str
) -> None:
    assert "none (`rehearse_prefs --record` makes one)" in criterion("rehearsed").figure
    record_a_rehearsal(**changed)
    made = plan()
    for key in ("rehearsed", "nothing_lost"):
        assert not criterion(key, made).met
    assert figure in criterion("rehearsed", made).figure
    record_a_rehearsal()
    made = plan()
    assert {"rehearsed", "resumable"} & unmet(made) == set()
    assert criterion("nothing_lost", made).met


def test_a_soak_that_is_not_over_blocks_its_task_by_its_gate(site: str) -> None:
    add_users({})
    go(State.READ_CUTOVER)
    made = plan(gather(ALIAS, Settings()))
    blocked = task("reads", made)
    assert blocked.status == "blocked"
    [gate] = blocked.waits_for
    assert gate.name == "gate `cutover_soak`"
    assert "of 86400 s" in gate.found
    assert gate.remedy == "Wait, or change PREFS_CUTOVER_SOAK."
    assert "Update read queries, by gate `cutover_soak`" in run("plan_prefs").out


def test_an_open_transition_has_not_been_taken_yet(site: str) -> None:
    add_users({})
    copy_all()
    take(State.DUAL_WRITE)
    rows("UPDATE prefs_transition SET settled_at = NULL")
    made = plan()
    for key in ("dual_write_taken", "writes_tables"):
        result = criterion(key, made)
        assert not result.met
        assert "and has not reached every process yet" in result.figure
    assert task("dual_write", made).status == "in progress"
    assert made.next_command == "manage.py advance_prefs --to dual_write"
    assert any("not settled yet" in note.detail for note in made.log)

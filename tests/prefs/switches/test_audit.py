"""The audit: who did what or was refused, when, from where, by which figures; never changed."""

from __future__ import annotations

import getpass
import os
import pwd
import socket

import pytest
from django.db import DatabaseError, transaction

from prefs.engine.audit import Event, acting_as, record_apart
from prefs.engine.evidence import database_now
from prefs.engine.states import SOUND, State
from prefs.engine.switches import SwitchRefused
from prefs.models import AuditEntry
from prefs.routing import DUAL_WRITE, READ_TABLES, Route
from tests.prefs.switches.turning import switch
from tests.support import scratch
from tests.support.running import run
from tests.support.steps import ALIAS, TESTER, add_users, go, rows, state, take
from tests.support.tampering import turn


def entries(event: str) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(event=event).order_by("id"))


def session() -> str:
    [(found,)] = rows("SELECT session_user || '@' || coalesce(host(inet_client_addr()), 'local')")
    return str(found)


def test_a_transition_and_its_end_are_recorded_with_everything(site: str) -> None:
    began = database_now(ALIAS)
    outcome = scratch.manage(scratch.environment(site), "advance_prefs", "--reason", "the plan")
    assert outcome.returncode == 0
    taken, settled = AuditEntry.objects.order_by("id")
    for entry, event in ((taken, "transition"), (settled, "settled")):
        assert (entry.event, entry.subject) == (event, "expanded to dual_write")
        assert (entry.actor, entry.host) == (getpass.getuser(), socket.gethostname())
        assert (entry.program, entry.reason) == ("manage.py advance_prefs", "the plan")
        assert entry.session == session()
        assert began < entry.recorded_at < database_now(ALIAS)
    gates = {gate["gate"]: gate for gate in taken.figures["gates"]}
    assert set(gates) == set(SOUND)
    assert all(gate["met"] and gate["found"] for gate in gates.values())
    assert settled.figures["seconds"] >= 0


def test_a_refusal_is_recorded_with_the_gates_it_met(site: str) -> None:
    add_users({"theme": "dark"})
    go(State.DUAL_WRITE)
    assert run("advance_prefs", "--reason", "too early").status == 4
    [entry] = entries("refusal")
    assert (entry.subject, entry.reason) == ("advance to the next state", "too early")
    assert "nothing was changed. Unmet:\n  verified: no verification" in entry.figures["why"]
    met = {gate["gate"]: gate["met"] for gate in entry.figures["gates"]}
    assert met == dict.fromkeys((*SOUND, "site_triggers"), True) | {"verified": False}


def test_what_is_refused_before_any_gate_is_recorded_too(site: str) -> None:
    assert run("rollback_prefs", "--to", "read_cutover").status == 4
    renamed = switch(READ_TABLES)
    renamed.name = "other"
    for refused in (renamed.save, switch(DUAL_WRITE).delete):
        with pytest.raises(SwitchRefused):
            refused()
    assert [entry.subject for entry in entries("refusal")] == [
        "roll back to read_cutover",
        "rename prefs_read_tables",
        "delete prefs_dual_write",
    ]


@transaction.atomic
def turn_after_a_write() -> None:
    rows("UPDATE accounts_user SET is_staff = true")
    found = switch(READ_TABLES)
    found.active = True
    found.save()


def test_a_refusal_outlasts_the_transaction_that_it_ends(site: str) -> None:
    add_users({"theme": "dark"})
    with pytest.raises(SwitchRefused):
        turn_after_a_write()
    [entry] = entries("refusal")
    assert entry.subject == f"turn {READ_TABLES} on"
    assert rows("SELECT count(*) FROM accounts_user WHERE is_staff") == [(0,)]


def test_a_refusal_outlasts_a_transaction_that_is_broken_already(site: str) -> None:
    with transaction.atomic():
        with pytest.raises(DatabaseError):
            rows("SELECT 1/0")
        with acting_as(TESTER):
            record_apart(ALIAS, Event.REFUSAL, "a test")
        transaction.set_rollback(True)
    [entry] = entries("refusal")
    assert (entry.actor, entry.subject, entry.reason) == ("tester", "a test", "a test")


def test_a_dry_run_and_a_look_are_not_recorded(site: str) -> None:
    add_users({"theme": "dark"})
    go(State.DUAL_WRITE)
    before = AuditEntry.objects.count()
    assert run("advance_prefs", "--dry-run").status == 4
    assert run("status_prefs").status == 0
    assert AuditEntry.objects.count() == before


@pytest.mark.parametrize("sample", [(), ("--sample", "100")])
def test_a_repair_is_recorded_with_how_many(site: str, sample: tuple[str, ...]) -> None:
    add_users({"theme": "dark"}, {"theme": "light"})
    go(State.DUAL_WRITE)
    run("verify_prefs", "--repair", *sample)
    [entry] = entries("repair")
    assert (entry.subject, entry.figures["users"], entry.figures["repaired"]) == (
        "verify --repair, blob to tables",
        2,
        2,
    )
    run("verify_prefs")
    assert len(entries("repair")) == 1


def test_a_switch_put_back_past_the_gates_is_recorded(site: str) -> None:
    go(State.DROPPED)
    turn(Route.TABLES_MIRRORED)
    refused = run("waffle_switch", READ_TABLES, "off")
    assert refused.status == 4
    assert "status_prefs" in refused.err
    [repair] = run("status_prefs", "--json").json["repairs"]
    assert run(*repair.split()[1:]).status == 0
    assert entries("repair")[-1].subject == f"switch {DUAL_WRITE} put back"
    assert state() is State.DROPPED


CHANGES = {
    "UPDATE": "UPDATE prefs_audit SET actor = 'somebody else'",
    "DELETE": "DELETE FROM prefs_audit",
    "TRUNCATE": "TRUNCATE prefs_audit",
    "an upsert": "INSERT INTO prefs_audit SELECT * FROM prefs_audit"
    " ON CONFLICT (id) DO UPDATE SET actor = 'somebody else'",
    "MERGE": "MERGE INTO prefs_audit a USING prefs_audit b ON a.id = b.id WHEN MATCHED THEN DELETE",
}


@pytest.mark.parametrize("change", CHANGES)
def test_nobody_changes_an_entry_not_even_a_superuser(site: str, change: str) -> None:
    take(State.DUAL_WRITE)
    before = rows("SELECT * FROM prefs_audit")
    assert len(before) == 2
    assert rows("SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == [(True,)]
    with pytest.raises(DatabaseError, match="the audit is only ever added to"):
        rows(CHANGES[change])
    assert rows("SELECT * FROM prefs_audit") == before


def test_the_orm_changes_none_either(site: str) -> None:
    take(State.DUAL_WRITE)
    entry = AuditEntry.objects.earliest("id")
    entry.actor = "somebody else"
    for change in (entry.save, entry.delete, AuditEntry.objects.all().delete):
        with pytest.raises(DatabaseError, match="the audit is only ever added to"):
            change()


def test_an_operator_without_a_name_is_recorded_by_number(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(uid: int) -> object:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert run("advance_prefs").status == 0
    assert AuditEntry.objects.earliest("id").actor == f"uid {os.getuid()}"

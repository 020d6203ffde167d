"""The samples: lowered at will, the canary raised in dual_write under its gates, all on record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from waffle import get_waffle_sample_model

from prefs.engine.canary import NotRaised
from prefs.engine.gates import GateRefused
from prefs.engine.states import State
from prefs.engine.switches import SwitchRefused
from prefs.models import AuditEntry, Transition
from prefs.routing import CANARY, SAMPLES, SHADOW
from tests.prefs.canary.raising import percent, set_sample, verified
from tests.prefs.triggers.raw import refused
from tests.support.running import run
from tests.support.steps import (
    add_users,
    copy_all,
    go,
    held_open,
    in_thread,
    part_blob,
    rows,
    take,
    until,
    verify_all,
    waiting_for_locks,
)
from tests.support.tampering import allowed_to_turn, tamper

SAID = "of the samples of the preferences migration is refused"
INSERT = (
    "INSERT INTO waffle_sample (name, percent, note, created, modified)"
    " VALUES ('{}', {}, '', now(), now())"
)
SET = f"UPDATE waffle_sample SET percent = {{}} WHERE name = '{CANARY}'"
REFUSED = {
    "raised": SET.format(0.1),
    "shadow reads raised": f"UPDATE waffle_sample SET percent = 1 WHERE name = '{SHADOW}'",
    "below 0": SET.format(-1),
    "no number": SET.format("'NaN'"),
    "renamed": f"UPDATE waffle_sample SET name = 'other' WHERE name = '{CANARY}'",
    "another renamed to it": f"UPDATE waffle_sample SET name = '{CANARY}' WHERE name = 'beta'",
    "deleted": f"DELETE FROM waffle_sample WHERE name = '{SHADOW}'",
    "all deleted": "DELETE FROM waffle_sample",
    "truncated": "TRUNCATE waffle_sample",
    "upserted": f"{INSERT.format(CANARY, 5)}"
    " ON CONFLICT (name) DO UPDATE SET percent = excluded.percent",
}


def samples() -> list[tuple[object, ...]]:
    return rows("SELECT id, name, percent, xmin::text FROM waffle_sample ORDER BY id")


@pytest.mark.parametrize("how", REFUSED)
def test_the_database_lets_nobody_raise_rename_or_remove_one(site: str, how: str) -> None:
    rows(INSERT.format("beta", 3))
    before = samples()
    with refused(SAID, "canary_prefs"):
        rows(REFUSED[how])
    assert samples() == before


def test_others_are_free_and_so_are_notes(site: str) -> None:
    rows("UPDATE waffle_sample SET note = 'watched'")
    rows(INSERT.format("beta", 3))
    rows("UPDATE waffle_sample SET percent = 30, name = 'gamma' WHERE name = 'beta'")
    rows("DELETE FROM waffle_sample WHERE name = 'gamma'")
    assert rows("SELECT name, note FROM waffle_sample ORDER BY name") == [
        (name, "watched") for name in sorted(SAMPLES)
    ]


def test_to_lower_one_is_free_for_whoever_may_write_it(site: str) -> None:
    verified()
    set_sample(50)
    rows(SET.format(20))
    assert percent() == 20
    with refused(SAID):
        rows(SET.format(20.1))
    rows(SET.format(0))
    assert percent() == 0


@pytest.mark.parametrize("state", [s for s in State if s is not State.DUAL_WRITE], ids=str)
def test_the_database_has_no_canary_outside_dual_write_whoever_asks(
    site: str, state: State
) -> None:
    go(state)
    with refused(SAID), allowed_to_turn():
        rows(SET.format(1))
    with pytest.raises(NotRaised, match=f"in dual_write alone.*the state is {state}"):
        set_sample(1)
    assert percent() == 0


def test_it_is_raised_where_the_stores_were_verified_and_goes_on_record(site: str) -> None:
    add_users({"theme": "dark"})
    verified()
    assert set_sample(12.5) == 0
    assert percent() == 12.5
    entry = AuditEntry.objects.latest("id")
    assert (entry.event, entry.subject) == ("sample", "canary from 0.0 % to 12.5 %")
    assert (entry.actor, entry.reason) == ("tester", "a test")
    assert [gate["gate"] for gate in entry.figures["gates"]] == [
        "verified",
        "tables_intact",
        "triggers_intact",
    ]
    assert set_sample(3) == 12.5
    assert AuditEntry.objects.latest("id").subject == "canary from 12.5 % to 3.0 %"
    before = AuditEntry.objects.count()
    set_sample(3)
    assert AuditEntry.objects.count() == before


def _not_verified() -> None:
    go(State.DUAL_WRITE)


def _verified_before_the_flip() -> None:
    verify_all()
    go(State.DUAL_WRITE)


def _differing() -> None:
    go(State.DUAL_WRITE)
    [user] = add_users({"theme": "dark"})
    part_blob(user, {"theme": "light"})
    verify_all()


def _without_a_trigger() -> None:
    verified()
    rows("ALTER TABLE accounts_user DISABLE TRIGGER prefs_capture_update")


def _without_an_index() -> None:
    verified()
    rows("DROP INDEX prefs_email_marketing")


UNMET: dict[str, tuple[Callable[[], object], str]] = {
    "nothing was verified": (_not_verified, "verified: no verification of all users"),
    "verified before the flip": (_verified_before_the_flip, "began before the last flip"),
    "stores differ": (_differing, "found 1 users whose stores differ"),
    "a trigger is off": (_without_a_trigger, "triggers_intact: .*prefs_capture_update"),
    "an index is gone": (_without_an_index, "tables_intact: .*prefs_email_marketing"),
}


@pytest.mark.parametrize("why", UNMET)
def test_it_is_not_raised_where(site: str, why: str) -> None:
    prepare, said = UNMET[why]
    prepare()
    with pytest.raises(GateRefused, match=rf"(?s)Raising the canary to 5.0 % was refused.*{said}"):
        set_sample(5)
    assert percent() == 0


def test_once_it_is_up_lowering_it_asks_for_nothing(site: str) -> None:
    verified()
    set_sample(50)
    _without_a_trigger()
    set_sample(10)
    assert percent() == 10
    with pytest.raises(GateRefused):
        set_sample(20)


@pytest.mark.parametrize("target", [State.EXPANDED, State.READ_CUTOVER], ids=str)
def test_every_flip_ends_it_in_its_own_transaction(site: str, target: State) -> None:
    verified()
    set_sample(40)
    with transaction.atomic():
        with allowed_to_turn(), connection.cursor() as cursor:
            cursor.execute(
                "UPDATE waffle_switch SET active = NOT active WHERE name = %s",
                ["prefs_dual_write" if target is State.EXPANDED else "prefs_read_tables"],
            )
        assert percent() == 0
        transaction.set_rollback(True)
    assert percent() == 40
    take(target, forward=target is State.READ_CUTOVER)
    assert percent() == 0
    assert Transition.objects.latest("id").figures["canary_before"] == 40


def test_after_the_way_back_to_dual_write_it_asks_for_a_verification_of_its_own(site: str) -> None:
    verified()
    set_sample(40)
    go(State.READ_CUTOVER)
    verify_all()
    take(State.DUAL_WRITE, forward=False)
    with pytest.raises(GateRefused, match="began before the last flip"):
        set_sample(40)
    verify_all()
    set_sample(40)


def test_a_raise_waits_for_a_flip_under_way_and_is_refused_after_it(site: str) -> None:
    verified()

    def flip_back() -> None:
        with allowed_to_turn():
            connection.cursor().execute("SELECT pg_advisory_xact_lock(%s)", [_lock()])
            rows("UPDATE waffle_switch SET active = false WHERE name = 'prefs_dual_write'")
            ready.append(True)
            until(lambda: bool(waiting_for_locks("l.locktype = 'advisory'")))

    ready: list[bool] = []
    flipping = in_thread(flip_back)
    until(lambda: bool(ready))
    with pytest.raises(NotRaised, match="the state is expanded"):
        set_sample(5)
    flipping.result(10)


def _lock() -> int:
    from prefs.engine.flips import TRANSITION_LOCK

    return TRANSITION_LOCK


def test_to_lower_it_waits_for_no_transition(site: str) -> None:
    verified()
    set_sample(50)

    def hold() -> None:
        rows("SELECT pg_advisory_xact_lock(%s)", _lock())

    with held_open(hold):
        set_sample(0)
    assert percent() == 0


def test_what_would_have_lowered_it_asks_for_the_gates_where_it_is_down_by_then(site: str) -> None:
    verified()
    set_sample(80)
    rows("DELETE FROM prefs_run")
    with held_open(lambda: rows(SET.format(0))):
        lowering = in_thread(lambda: set_sample(50))
        until(lambda: bool(waiting_for_locks()))
    with pytest.raises(GateRefused):
        lowering.result(10)
    assert percent() == 0


def test_shadow_reads_are_set_in_every_state(site: str) -> None:
    for target in (State.EXPANDED, State.READ_CUTOVER, State.MIRROR_OFF):
        go(target)
        set_sample(1, SHADOW)
        assert percent(SHADOW) == 1
        set_sample(0, SHADOW)


# --- every way that means to ---------------------------------------------------------

LIST = reverse("admin:waffle_sample_changelist")


def page(name: str, what: str = "change") -> str:
    found = get_waffle_sample_model().objects.get(name=name)
    return reverse(f"admin:waffle_sample_{what}", args=[found.pk])


def form(which: str, **changed: Any) -> dict[str, Any]:
    found = get_waffle_sample_model().objects.get(name=which)
    days = {
        f"{field}_{part}": f"{getattr(found, field):{what}}"
        for field in ("created", "modified")
        for part, what in ((0, "%Y-%m-%d"), (1, "%H:%M:%S"))
    }
    return {"name": found.name, "percent": found.percent, "note": "", **days, **changed}


def by_form(client: Client, name: str, value: float) -> str:
    response = client.post(page(name), form(name, percent=value))
    assert response.status_code == 302
    told = list(get_messages(response.wsgi_request))
    # Read where the page leads, they are not told again.
    client.get(response["Location"])
    return "\n".join(str(m) for m in told if m.level_tag == "error")


def by_waffle(client: Client, name: str, value: float) -> str:
    return run("waffle_sample", name, str(int(value))).err


def by_save(client: Client, name: str, value: float) -> str:
    found = get_waffle_sample_model().objects.get(name=name)
    found.percent = value
    try:
        found.save()
    except SwitchRefused as error:
        return str(error)
    return ""


def by_command(client: Client, name: str, value: float) -> str:
    arguments = [str(value)] if name == CANARY else ["--shadow", str(value)]
    return run("canary_prefs", *arguments).err


WAYS = {"admin": by_form, "waffle_sample": by_waffle, "save": by_save, "canary_prefs": by_command}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_every_way_passes_the_same_gates_and_leaves_the_same_record(
    admin: Client, way: Callable[[Client, str, float], str]
) -> None:
    assert "in dual_write alone" in way(admin, CANARY, 10)
    entry = AuditEntry.objects.latest("id")
    assert (entry.event, entry.subject.endswith((" 10 %", " 10.0 %"))) == ("refusal", True)
    go(State.DUAL_WRITE)
    assert "verified: no verification" in way(admin, CANARY, 10)
    assert percent() == 0
    copy_all()
    verify_all()
    assert way(admin, CANARY, 10) == ""
    assert percent() == 10
    assert AuditEntry.objects.latest("id").subject == "canary from 0.0 % to 10.0 %"
    assert way(admin, SHADOW, 2) == ""
    assert percent(SHADOW) == 2
    assert way(admin, CANARY, 4) == ""
    assert percent() == 4
    assert AuditEntry.objects.latest("id").subject == "canary from 10.0 % to 4.0 %"


def test_nobody_renames_or_deletes_one(admin: Client) -> None:
    response = admin.post(page(CANARY), form(CANARY, name="other"))
    assert "cannot become other" in str(next(iter(get_messages(response.wsgi_request))))
    assert admin.post(page(CANARY, "delete"), {"post": "yes"}).status_code == 403
    with pytest.raises(SwitchRefused, match="cannot be deleted"):
        get_waffle_sample_model().objects.get(name=SHADOW).delete()
    assert {name for (name,) in rows("SELECT name FROM waffle_sample")} == set(SAMPLES)


def test_waffle_s_own_permission_raises_nothing(admin: Client) -> None:
    verified()
    user = get_user_model()._default_manager.create(username="staff", is_staff=True)
    names = ["view_sample", "change_sample"]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    assert "prefs.operate_migration" in by_form(client, CANARY, 10)
    assert percent() == 0
    names.append("operate_migration")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    assert by_form(client, CANARY, 10) == ""
    assert AuditEntry.objects.latest("id").actor == "staff"
    user.delete()


# --- what is told of them ------------------------------------------------------------


def test_the_command_shows_both_and_so_does_the_status(site: str) -> None:
    assert run("canary_prefs", "--json").json == {"canary": 0.0, "shadow": 0.0}
    verified()
    outcome = run("canary_prefs", "2.5", "--shadow", "0.5", "--reason", "to begin with")
    assert (outcome.status, outcome.out.splitlines()[0]) == (
        0,
        "canary       2.5 % of users read the tables in dual_write",
    )
    assert AuditEntry.objects.latest("id").reason == "to begin with"
    found = run("status_prefs", "--json").json
    assert (found["canary"], found["shadow"]) == (2.5, 0.5)
    assert "canary       2.5 % of users; shadow reads 0.5 %" in run("status_prefs").out


@pytest.mark.parametrize("given", ["101", "-1", "0.25", "nan", "ten"])
def test_what_is_no_percentage_is_refused(site: str, given: str) -> None:
    outcome = run("canary_prefs", "--", given) if given == "-1" else run("canary_prefs", given)
    assert outcome.status == 2
    assert "percentage" in outcome.err


def test_a_refused_raise_exits_4_with_its_gates(site: str) -> None:
    go(State.DUAL_WRITE)
    outcome = run("canary_prefs", "10", "--json")
    assert outcome.status == 4
    assert [gate["gate"] for gate in outcome.json["gates"] if not gate["met"]] == ["verified"]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_lost_row_is_a_problem_that_install_prefs_puts_right(site: str, name: str) -> None:
    tamper("DELETE FROM waffle_sample WHERE name = %s", name)
    for command in (("status_prefs",), ("check", "--database", "default")):
        outcome = run(*command)
        assert outcome.status == 1
        assert f"the row of the waffle sample {name} is missing" in outcome.out + outcome.err
    assert f"The row of the waffle sample {name} is missing" in by_command(Client(), name, 0)
    assert run("install_prefs").status == 0
    assert percent(name) == 0
    assert run("check", "--database", "default").status == 0


def test_a_canary_that_is_up_where_nobody_could_raise_it_is_a_problem(site: str) -> None:
    tamper("UPDATE waffle_sample SET percent = 7 WHERE name = %s", CANARY)
    assert "the canary is at 7.0 %, and the state is not dual_write" in run("status_prefs").out
    assert run("install_prefs").status == 0
    assert percent() == 0

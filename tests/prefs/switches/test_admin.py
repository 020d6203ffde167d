"""The admin's pages of switches and of the audit: what they say, and whom they let."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from waffle import get_waffle_switch_model

from prefs.engine.states import State
from prefs.models import AuditEntry, Transition
from prefs.routing import DUAL_WRITE, READ_TABLES, SWITCHES
from tests.prefs.switches.turning import (
    ADMIN,
    LIST,
    act,
    form,
    nothing_changes,
    page,
    post,
    switch,
)
from tests.support.steps import go, rows, state
from tests.support.tampering import remove_switches

Switch = get_waffle_switch_model()
AUDIT = reverse("admin:prefs_auditentry_changelist")


def allowed(client: Client, *codenames: str) -> Client:
    """Another client, of somebody on the staff who has these permissions alone."""
    user = get_user_model()._default_manager.create(username="staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    assert user.user_permissions.count() == len(codenames)
    other = Client()
    other.force_login(user)
    return other


def test_a_refusal_is_read_on_the_page_that_follows(admin: Client) -> None:
    go(State.DUAL_WRITE)
    action = {"action": "enable_switches", "_selected_action": [switch(READ_TABLES).pk]}
    for path, data in ((LIST, action), (page(READ_TABLES), form(READ_TABLES, active=True))):
        text = admin.post(path, data, follow=True).content.decode()
        assert "dual_write to read_cutover was refused; nothing was changed" in text
        assert "Run `manage.py backfill_prefs`, then `manage.py verify_prefs`." in text
        assert "was changed successfully" not in text


def test_what_is_done_is_signed_by_the_admin_s_user(admin: Client) -> None:
    assert act(admin, "enable_switches", DUAL_WRITE)[0]
    assert Transition.objects.get().actor == ADMIN
    entries = AuditEntry.objects.values_list("event", "actor", "program")
    assert set(entries) == {("transition", ADMIN, "admin"), ("settled", ADMIN, "admin")}
    assert LogEntry.objects.get().object_repr == f"{DUAL_WRITE} on"


def test_what_is_refused_is_signed_too_although_it_is_rolled_back(admin: Client) -> None:
    assert not act(admin, "enable_switches", READ_TABLES)[0]
    entry = AuditEntry.objects.get()
    assert (entry.event, entry.actor, entry.program) == ("refusal", ADMIN, "admin")
    assert entry.subject == f"turn {READ_TABLES} on"
    assert LogEntry.objects.count() == 0


def test_an_action_on_several_is_done_whole_or_not_at_all(admin: Client) -> None:
    other = Switch.objects.create(name="other")
    done, answer = act(admin, "enable_switches", "other", READ_TABLES)
    assert not done
    assert "Cannot advance from expanded to mirror_off" in answer
    other.refresh_from_db()
    assert (other.active, LogEntry.objects.count()) == (False, 0)
    assert act(admin, "enable_switches", "other", DUAL_WRITE)[0]
    other.refresh_from_db()
    assert (other.active, state()) == (True, State.DUAL_WRITE)


@pytest.mark.parametrize("name", SWITCHES)
def test_nobody_deletes_one_of_ours(admin: Client, name: str) -> None:
    Switch.objects.create(name="other")
    with nothing_changes():
        done, answer = act(admin, "delete_individually", "other", name)
        assert not done
        assert f"The switch {name} cannot be deleted while" in answer
        assert admin.get(page(name, "delete")).status_code == 403
        assert admin.post(page(name, "delete"), {"post": "yes"}).status_code == 403
    assert page(name, "delete") not in admin.get(page(name)).content.decode()
    assert Switch.objects.filter(name="other").exists()


def test_another_switch_is_made_turned_and_deleted_as_ever(admin: Client) -> None:
    made = form(DUAL_WRITE, name="other", active=False)
    assert post(admin, reverse("admin:waffle_switch_add"), made)[0]
    assert act(admin, "enable_switches", "other")[0]
    assert switch("other").active
    assert post(admin, page("other"), form("other", name="renamed", active=False))[0]
    assert not switch("renamed").active
    assert post(admin, page("renamed", "delete"), {"post": "yes"})[0]
    Switch.objects.create(name="another")
    assert act(admin, "delete_individually", "another")[0]
    assert Switch.objects.count() == 2
    assert Transition.objects.count() == AuditEntry.objects.count() == 0


REFUSED_FORMS: list[tuple[dict[str, Any], str]] = [
    ({"name": "renamed"}, "cannot become renamed"),
    ({"name": "renamed", "active": True}, "cannot become renamed"),
]


@pytest.mark.parametrize(("changed", "why"), REFUSED_FORMS)
def test_one_of_ours_keeps_its_name(admin: Client, changed: dict[str, Any], why: str) -> None:
    with nothing_changes():
        done, answer = post(admin, page(DUAL_WRITE), form(DUAL_WRITE, **changed))
    assert not done
    assert why in answer


def test_the_note_of_one_of_ours_can_be_changed(admin: Client) -> None:
    assert post(admin, page(DUAL_WRITE), form(DUAL_WRITE, note="a note"))[0]
    assert (switch(DUAL_WRITE).note, state()) == ("a note", State.EXPANDED)


def test_a_lost_row_is_a_sentence_and_no_broken_page(admin: Client) -> None:
    remove_switches(READ_TABLES)
    done, answer = act(admin, "enable_switches", DUAL_WRITE)
    assert not done
    assert "Run `manage.py status_prefs`: it prints the command that puts the row" in answer
    data = form(DUAL_WRITE, name=READ_TABLES, active=True)
    done, answer = post(admin, reverse("admin:waffle_switch_add"), data)
    assert not done
    assert "Create it off, then run `manage.py advance_prefs`." in answer
    data = form(DUAL_WRITE, name=READ_TABLES, active=False)
    assert post(admin, reverse("admin:waffle_switch_add"), data)[0]
    assert state() is State.EXPANDED


def test_without_permission_to_change_nothing_is_turned(admin: Client) -> None:
    viewer = allowed(admin, "view_switch", "delete_switch")
    assert "enable_switches" not in viewer.get(LIST).content.decode()
    data = {"action": "enable_switches", "_selected_action": [switch(DUAL_WRITE).pk]}
    with nothing_changes():
        assert "No action selected" in viewer.post(LIST, data, follow=True).content.decode()
        assert viewer.post(page(DUAL_WRITE), form(DUAL_WRITE, active=True)).status_code == 403
        assert viewer.post(page(DUAL_WRITE, "delete"), {"post": "yes"}).status_code == 403
    assert AuditEntry.objects.count() == 0


def test_somebody_with_no_permission_sees_neither_switches_nor_audit(admin: Client) -> None:
    nobody = allowed(admin)
    for path in (LIST, page(DUAL_WRITE), AUDIT):
        assert nobody.get(path).status_code == 403
    for path in (LIST, AUDIT):
        assert Client().get(path)["Location"].startswith("/admin/login/")


def test_the_audit_is_read_and_never_edited(admin: Client) -> None:
    act(admin, "enable_switches", DUAL_WRITE)
    before = rows("SELECT * FROM prefs_audit")
    entry = AuditEntry.objects.earliest("id")
    text = admin.get(AUDIT).content.decode()
    assert "expanded to dual_write" in text
    assert ADMIN in text
    assert "delete_selected" not in text
    detail = reverse("admin:prefs_auditentry_change", args=[entry.pk])
    assert "READ COMMITTED wherever a default is set" in admin.get(detail).content.decode()
    assert admin.post(detail, {"actor": "somebody else"}).status_code == 403
    for path in ("admin:prefs_auditentry_add", "admin:prefs_auditentry_delete"):
        arguments = [entry.pk] if path.endswith("delete") else []
        assert admin.post(reverse(path, args=arguments), {"post": "yes"}).status_code == 403
    data = {"action": "delete_selected", "_selected_action": [entry.pk], "post": "yes"}
    admin.post(AUDIT, data)
    assert rows("SELECT * FROM prefs_audit") == before

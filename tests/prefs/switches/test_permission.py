"""waffle's permissions alone turn none of our switches, on any page; ours do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path, reverse
from waffle import get_waffle_switch_model

from prefs.admin import GuardedSwitchAdmin
from prefs.engine.states import State
from prefs.models import AuditEntry, Migration, Transition
from prefs.routing import DUAL_WRITE, READ_TABLES
from tests.prefs.switches.turning import (
    LIST,
    act,
    by_command,
    by_save,
    form,
    nothing_changes,
    page,
    post,
    switch,
)
from tests.support.steps import add_users, copy_all, go, rows, state, verify_all
from tests.support.tampering import remove_switches

Switch = get_waffle_switch_model()
OURS = ("view_migration", "operate_migration", "contract_migration", "change_documents")
WITHOUT = [each for each in settings.MIDDLEWARE if "remember_user" not in each]


class PlainAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """What a site may have written for itself."""

    list_display = ("name", "active")
    list_editable = ("active",)
    actions = ("turn_on",)

    def turn_on(self, request: HttpRequest, chosen: object) -> None:
        """An action that nobody logs."""
        for each in chosen:  # type: ignore[attr-defined]
            each.active = True
            each.save()


second = admin.AdminSite(name="second")
second.register(Switch, PlainAdmin)
third = admin.AdminSite(name="third")
third.register(Switch, GuardedSwitchAdmin)


def turn_on(request: HttpRequest) -> HttpResponse:
    """A view of the site's own."""
    found = switch(DUAL_WRITE)
    found.active = True
    found.save()
    return HttpResponse("turned")


urlpatterns = [
    path("admin/", admin.site.urls),
    path("second/", second.urls),
    path("third/", third.urls),
    path("turn/", turn_on),
]


@pytest.fixture(autouse=True)
def sites() -> Iterator[None]:
    """A project with three admin sites and a view."""
    with override_settings(ROOT_URLCONF=__name__):
        yield


def somebody(*codenames: str, superuser: bool = False) -> Client:
    """A client of somebody on the staff with these permissions alone."""
    user = get_user_model()._default_manager.create(
        username="somebody", is_staff=True, is_superuser=superuser
    )
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    assert user.user_permissions.count() == len(codenames)
    client = Client()
    client.force_login(user)
    return client


def of(name: str, where: str) -> str:
    return page(name).replace("/admin/", f"/{where}/")


def test_migrate_makes_our_permissions_and_no_others(site: str) -> None:
    """Case B16: on a model without a table."""
    found = Permission.objects.filter(
        content_type__app_label="prefs", content_type__model="migration"
    )
    assert set(found.values_list("codename", flat=True)) == {
        "view_migration",
        "operate_migration",
        "advance_migration",
        "contract_migration",
        "view_documents",
        "change_documents",
    }
    assert rows("SELECT to_regclass(%s)", Migration._meta.db_table) == [(None,)]


@pytest.mark.parametrize("middleware", [settings.MIDDLEWARE, WITHOUT])
def test_waffle_s_permission_alone_turns_none_of_ours(admin: Client, middleware: list[str]) -> None:
    """Case B16: it took dual_write to expanded."""
    go(State.DUAL_WRITE)
    client = somebody("change_switch", "view_switch", *OURS)
    with override_settings(MIDDLEWARE=middleware), nothing_changes():
        for done, said in (
            act(client, "disable_switches", DUAL_WRITE),
            post(client, page(DUAL_WRITE), form(DUAL_WRITE, active=False)),
            post(client, of(DUAL_WRITE, "third"), form(DUAL_WRITE, active=False)),
        ):
            assert not done
            assert "somebody may not do this: it needs the permission prefs.advance_mig" in said
    entry = AuditEntry.objects.filter(event="refusal").latest("id")
    assert (entry.actor, entry.subject) == ("somebody", "turn prefs_dual_write off")


def test_neither_does_it_on_another_admin_site_nor_in_a_view(admin: Client) -> None:
    """Case B16: with the site's own page, an action that logs nothing, and a view."""
    client = somebody("change_switch", "view_switch")
    chosen = {"action": "turn_on", "_selected_action": [switch(DUAL_WRITE).pk]}
    with nothing_changes():
        for address, data in (
            (of(DUAL_WRITE, "second"), form(DUAL_WRITE, active=True)),
            (LIST.replace("/admin/", "/second/"), chosen),
            (LIST.replace("/admin/", "/second/"), everything(DUAL_WRITE)),
            ("/turn/", {}),
        ):
            assert client.post(address, data).status_code == 403, address
            assert Client().post(address, data).status_code in (302, 403), address
    assert {*AuditEntry.objects.values_list("actor", "program")} == {
        ("somebody", "request"),
        ("nobody", "request"),
    }


def everything(on: str) -> dict[str, object]:
    """The list of the second site with one switch ticked."""
    data: dict[str, object] = {
        "form-TOTAL_FORMS": 2,
        "form-INITIAL_FORMS": 2,
        "_save": "Save",
    }
    for number, found in enumerate(Switch.objects.order_by("-id")):
        data[f"form-{number}-id"] = found.pk
        if found.active or found.name == on:
            data[f"form-{number}-active"] = "on"
    return data


@pytest.mark.parametrize("superuser", [True, False])
def test_with_ours_it_is_turned_on_every_site(admin: Client, superuser: bool) -> None:
    """Case B16: superusers have all."""
    add_users({"theme": "dark"})
    permissions = () if superuser else ("change_switch", "view_switch", "advance_migration")
    client = somebody(*permissions, superuser=superuser)
    assert client.post(of(DUAL_WRITE, "second"), form(DUAL_WRITE, active=True)).status_code == 302
    assert state() is State.DUAL_WRITE
    done = Transition.objects.get()
    assert (done.actor, done.settled_at is None) == ("somebody", False)
    assert post(client, of(DUAL_WRITE, "third"), form(DUAL_WRITE, active=False))[0]
    assert act(client, "enable_switches", DUAL_WRITE)[0]
    assert client.post("/turn/").content == b"turned"
    assert state() is State.DUAL_WRITE
    copy_all()
    verify_all()
    # Gates hold for everybody.
    rows("DELETE FROM prefs_run")
    assert not act(client, "enable_switches", READ_TABLES)[0]


def test_where_nobody_knows_who_asks_the_answer_is_no(admin: Client) -> None:
    """Case B16: without the middleware, on a page that is not ours; even for a superuser."""
    with override_settings(MIDDLEWARE=WITHOUT), nothing_changes():
        client = somebody(superuser=True)
        answer = client.post(of(DUAL_WRITE, "second"), form(DUAL_WRITE, active=True))
        assert answer.status_code == 403
        assert client.post("/turn/").status_code == 403
    why = AuditEntry.objects.latest("id").figures["why"]
    assert "Add prefs.middleware.remember_user to MIDDLEWARE" in why


async def ask(middleware: list[str], user: object) -> int:
    """The status of the view under ASGI."""
    with override_settings(MIDDLEWARE=middleware):
        client = AsyncClient()
        await client.aforce_login(user)  # type: ignore[arg-type]
        answer = await client.post("/turn/")
        return int(answer.status_code)


@pytest.mark.parametrize("middleware", [settings.MIDDLEWARE, WITHOUT])
def test_under_asgi_it_is_the_same(admin: Client, middleware: list[str]) -> None:
    """Case B16: the request is known there, too."""
    somebody("change_switch")
    user = get_user_model()._default_manager.get(username="somebody")
    with nothing_changes():
        assert async_to_sync(ask)(middleware, user) == 403


def test_a_lost_row_is_put_back_by_who_may_turn_it(admin: Client) -> None:
    """Case B16: to create one of ours is to turn it."""
    client = somebody("change_switch", "add_switch", "view_switch")
    data = form(DUAL_WRITE, name=READ_TABLES, active=False)
    remove_switches(READ_TABLES)
    done, said = post(client, reverse("admin:waffle_switch_add"), data)
    assert (done, "may not do this" in said) == (False, True)
    assert post(admin, reverse("admin:waffle_switch_add"), data)[0]


def test_the_note_of_one_of_ours_and_other_switches_need_waffle_s_alone(admin: Client) -> None:
    """Case B16: ours is for our switches only."""
    client = somebody("change_switch", "view_switch")
    Switch.objects.create(name="other")
    assert post(client, page(DUAL_WRITE), form(DUAL_WRITE, note="a note"))[0]
    assert act(client, "enable_switches", "other")[0]
    assert client.post(of("other", "second"), form("other", active=False)).status_code == 302
    assert (switch("other").active, state()) == (False, State.EXPANDED)


@pytest.mark.parametrize("way", [by_command, by_save])
def test_a_command_and_code_outside_of_requests_need_none(admin: Client, way: object) -> None:
    """Case B16: whoever has a shell has the database."""
    admin.get(LIST)
    assert way(admin, DUAL_WRITE, True)[0]  # type: ignore[operator]
    assert state() is State.DUAL_WRITE


# --- what is said ----------------------------------------------------------------------------

FIRST = {
    (State.EXPANDED, READ_TABLES, True): "From expanded the next step is dual_write: turn"
    " prefs_dual_write on first.",
    (State.MIRROR_OFF, READ_TABLES, False): "From mirror_off the next step is read_cutover: turn"
    " prefs_dual_write on first.",
    (State.DROPPED, DUAL_WRITE, True): "From dropped the next step is mirror_off: run `manage.py"
    " rollback_prefs --to mirror_off` first.",
}


@pytest.mark.parametrize(("reached", "name", "active"), FIRST)
def test_a_switch_turned_too_early_says_which_step_comes_first(
    admin: Client, reached: State, name: str, active: bool
) -> None:
    """Case C12: it said "Cannot advance from expanded to mirror_off" and no more."""
    go(reached)
    with nothing_changes():
        action = "enable_switches" if active else "disable_switches"
        done, said = act(admin, action, name)
        assert not done
        assert FIRST[reached, name, active] in said
        assert "Nothing was changed." in said
        assert FIRST[reached, name, active] in by_command(admin, name, active)[1]


def test_the_new_state_is_said_after_a_turn(admin: Client) -> None:
    """Case C12: and nothing where the state stays."""
    assert (
        "The state of the migration is dual_write now."
        in act(admin, "enable_switches", DUAL_WRITE)[1]
    )
    done, said = post(admin, page(DUAL_WRITE), form(DUAL_WRITE, active=False))
    assert (done, "The state of the migration is expanded now." in said) == (True, True)
    assert "The state of" not in post(admin, page(DUAL_WRITE), form(DUAL_WRITE, note="x"))[1]

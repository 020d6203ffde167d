"""The pages of the admin."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.messages.storage.cookie import CookieStorage
from django.test import RequestFactory

from project.accounts.models import User
from tests.prefs.differential.operations import operation
from tests.prefs.differential.world import BEFORE, World

UNSTORABLE = ("NaN", "1e999", '"\\ud800"', '"\\u0000"', "[" * 100_000, "9" * 5000)


def admin_of(w: World, **attributes: Any) -> Any:
    """Pages for users, with the usual classes."""
    options = {"fields": ["username", "preferences"], "log_change": _unlogged, **attributes}
    return type("Users", (ModelAdmin,), options)(w.user, AdminSite())


def _unlogged(*_: Any) -> None:
    """The log names the site's own user model."""


def request_of(data: dict[str, str] | None = None, **query: str) -> Any:
    """A request of a superuser."""
    factory = RequestFactory()
    request: Any = factory.post("/", data) if data is not None else factory.get("/", query)
    request._dont_enforce_csrf_checks = True
    request.user = User(pk=1, username="root", is_superuser=True, is_staff=True)
    request._messages = CookieStorage(request)
    return request


@operation
def the_admin_shows_a_user(w: World) -> Any:
    page = admin_of(w).change_view(request_of(), str(w.add()))
    form = page.context_data["adminform"].form
    return page.status_code, form.initial, str(form["preferences"])


@operation
def the_admin_saves_a_user(w: World) -> Any:
    key = w.add()
    data = {"username": "ada", "preferences": '{"x": 1}', "_continue": "1"}
    form = admin_of(w).get_form(request_of(), None)(data, instance=w.user.objects.get(pk=key))
    saved = form.save(commit=False)
    admin_of(w).save_model(request_of(), saved, form, change=True)
    return form.errors, admin_of(w).construct_change_message(request_of(), form, [])


@operation
def the_admin_lists_users(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 2}, {"theme": "dark"})
    admin = admin_of(w, list_display=["username", "preferences"], ordering=["pk"])
    found = admin.get_changelist_instance(request_of())
    return found.result_count, list(found.result_list)


@operation
def the_admin_searches_documents(w: World) -> Any:
    w.add_many({"theme": "light"}, {"theme": "dark"})
    admin = admin_of(w, search_fields=["preferences__theme"], ordering=["pk"])
    found = admin.get_changelist_instance(request_of(q="dark"))
    return found.result_count, list(found.result_list)


@operation
def the_admin_filters_by_a_key(w: World) -> Any:
    w.add_many({"theme": "light"}, {"theme": "dark"})
    admin = admin_of(w, list_filter=["is_staff"], ordering=["pk"])
    admin.get_queryset = lambda request: w.user.objects.filter(preferences__theme="dark")
    return list(admin.get_changelist_instance(request_of(is_staff__exact="0")).result_list)


@operation
def the_admin_has_the_field_read_only(w: World) -> Any:
    page = admin_of(w, readonly_fields=["preferences"]).change_view(
        request_of(), str(w.add(BEFORE))
    )
    shown = page.context_data["adminform"]
    return [
        field.contents() for group in shown for line in group for field in line if field.is_readonly
    ]

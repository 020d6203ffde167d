"""Forms, ModelForms, form sets and the admin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.messages.storage.cookie import CookieStorage
from django.forms.models import model_to_dict
from django.test import RequestFactory

from project.accounts.models import User
from tests.prefs.differential.operations import operation
from tests.prefs.differential.world import BEFORE, World

UNSTORABLE = ("NaN", "1e999", '"\\ud800"', '"\\u0000"', "[" * 100_000, "9" * 5000)


def form_of(w: World, *fields: str) -> Any:
    """A ModelForm over these fields."""
    return forms.modelform_factory(w.user, fields=fields)


@operation
def a_form_stores_a_document(w: World) -> Any:
    user = w.load()
    form = form_of(w, "username", "preferences")(
        {"username": "ada", "preferences": '{"theme": "dark", "n": 1.0}'}, instance=user
    )
    return form.is_valid(), form.save(), form.changed_data


@operation
def a_form_makes_a_user(w: World) -> Any:
    form = form_of(w, "username", "preferences")({"username": "ada", "preferences": '{"x": 1}'})
    return form.errors, form.save()


@operation
def a_form_without_the_field(w: World) -> Any:
    user = w.load()
    user.preferences["theme"] = "dark"
    form = form_of(w, "username")({"username": "ada"}, instance=user)
    return form.errors, form.save()


@operation
def a_form_whose_request_lacks_the_field(w: World) -> Any:
    form = form_of(w, "username", "preferences")({"username": "ada"}, instance=w.load())
    return form.errors, form.save()


@operation
def a_form_that_saves_later(w: World) -> Any:
    user = w.load()
    form = form_of(w, "username", "preferences", "groups")(
        {"username": "ada", "preferences": '{"x": 1}'}, instance=user
    )
    made = form.save(commit=False)
    first = w.committed(user.pk)
    made.preferences["y"] = 2
    made.save()
    form.save_m2m()
    return first, made


@operation
def a_form_with_bad_json(w: World) -> Any:
    user = w.load()
    form = form_of(w, "preferences")({"preferences": "{not json"}, instance=user)
    return form.is_valid(), form.errors, form["preferences"].value(), user


@operation
def a_form_with_what_jsonb_refuses(w: World) -> Any:
    user = w.load()
    found = []
    for text in UNSTORABLE:
        form = form_of(w, "preferences")({"preferences": text}, instance=user)
        try:
            found.append(form.is_valid())
        except RecursionError:
            found.append("raised")
    return found


@operation
def an_empty_box_in_a_form(w: World) -> Any:
    user = w.load()
    form = form_of(w, "preferences")({"preferences": ""}, instance=user)
    return form.errors, form.save()


@operation
def a_form_shows_the_document(w: World) -> Any:
    form = form_of(w, "preferences")(instance=w.load())
    field = form.fields["preferences"]
    kind = isinstance(field, forms.JSONField)
    return str(form), form.initial, kind, field.required, field.initial


@operation
def a_form_sees_what_changed(w: World) -> Any:
    user = w.load()
    made = form_of(w, "preferences")
    same = made({"preferences": '{"beta": 1, "theme": "light"}'}, instance=user)
    before = '{"beta": 1, "notifications": {"email": {"digest": "daily"}}, "theme": "light"}'
    return same.has_changed(), made({"preferences": before}, instance=user).has_changed()


@operation
def a_form_cleans_the_document(w: World) -> Any:
    class Form(form_of(w, "preferences")):  # type: ignore[misc]
        def clean_preferences(self) -> Any:
            return {**self.cleaned_data["preferences"], "cleaned": True}

        def clean(self) -> Any:
            self.instance.first_name = "Ada"
            return super().clean()

    form = Form({"preferences": '{"x": 1}'}, instance=w.load())
    return form.errors, form.save()


@operation
def model_to_dict_of_a_user(w: World) -> Any:
    found = model_to_dict(w.load())
    del found["groups"], found["user_permissions"]
    return found, model_to_dict(w.load(), ["preferences"])


@operation
def fields_for_a_model(w: World) -> Any:
    fields = forms.fields_for_model(w.user, exclude=["groups", "user_permissions"])
    field = fields["preferences"]
    return list(fields), isinstance(field, forms.JSONField), field.label


@operation
def a_model_form_set(w: World) -> Any:
    first, second = w.add_many({"n": 1}, {"n": 2})
    made = forms.modelformset_factory(w.user, fields=["preferences"], extra=0)
    data = {"form-TOTAL_FORMS": "2", "form-INITIAL_FORMS": "2"}
    data |= {"form-0-id": str(first), "form-0-preferences": '{"n": 1}'}
    data |= {"form-1-id": str(second), "form-1-preferences": '{"n": 3}'}
    found = made(data, queryset=w.user.objects.order_by("pk"))
    return found.errors, found.save(), found.changed_objects


@operation
def an_inline_form_set(w: World) -> Any:
    made = forms.inlineformset_factory(w.user, w.note, fields=["text"], extra=1)
    user = w.load()
    data = {"notes-TOTAL_FORMS": "1", "notes-INITIAL_FORMS": "0", "notes-0-text": "n"}
    found = made(data, instance=user)
    return found.errors, found.save(), user


@operation
def a_choice_of_users(w: World) -> Any:
    key = w.add({"theme": "dark"})
    w.add()
    field = forms.ModelChoiceField(w.user.objects.filter(preferences__theme="dark"))
    return [label for _, label in field.choices], field.clean(str(key))


@operation
def the_forms_of_the_auth_app(w: World) -> Any:
    class Form(UserChangeForm):
        class Meta:
            model = w.user
            fields = ["username", "preferences"]

    form = Form({"username": "ada", "preferences": '{"x": 1}'}, instance=w.load())
    return form.errors, form.save()


# --- the admin ----------------------------------------------------------------------------


def admin_of(w: World, **attributes: Any) -> ModelAdmin[Any]:
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
    form = page.context_data["adminform"].form  # type: ignore[attr-defined]
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
    admin.get_queryset = (  # type: ignore[method-assign]
        lambda request: w.user.objects.filter(preferences__theme="dark")
    )
    return list(admin.get_changelist_instance(request_of(is_staff__exact="0")).result_list)


@operation
def the_admin_has_the_field_read_only(w: World) -> Any:
    page = admin_of(w, readonly_fields=["preferences"]).change_view(
        request_of(), str(w.add(BEFORE))
    )
    shown = page.context_data["adminform"]  # type: ignore[attr-defined]
    return [
        field.contents() for group in shown for line in group for field in line if field.is_readonly
    ]

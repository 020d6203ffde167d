"""Forms, ModelForms and form sets."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import UserChangeForm
from django.forms.models import model_to_dict

from tests.prefs.differential.operations import operation
from tests.prefs.differential.world import World

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
        except (RecursionError, ValueError):
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
    field: Any = forms.ModelChoiceField(w.user.objects.filter(preferences__theme="dark"))
    return [label for _, label in field.choices], field.clean(str(key))


@operation
def the_forms_of_the_auth_app(w: World) -> Any:
    class Form(UserChangeForm):  # type: ignore[type-arg]  # generic for mypy alone
        class Meta:
            model = w.user
            fields = ["username", "preferences"]

    form = Form({"username": "ada", "preferences": '{"x": 1}'}, instance=w.load())
    return form.errors, form.save()

"""Forms of users, Django's admin among them, edit preferences as they did with a column."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest
from django import forms
from django.test import Client

from prefs.models import UserPreferences
from project.accounts.models import User
from tests.prefs.fields.people import BEFORE, ODD, add, exactly, statements, stored
from tests.support import stores
from tests.support.stores import Place

pytestmark = pytest.mark.django_db
DARK = {**BEFORE, "theme": "dark"}


class UserForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for mypy alone
    class Meta:
        model = User
        fields = ("username", "first_name", "preferences")


def filled(user: User, document: Any = ..., **values: str) -> dict[str, str]:
    """What a browser posts for the form of a user."""
    text = {} if document is ... else {"preferences": json.dumps(document)}
    return {"username": user.username or "new", "first_name": "Ada", **text, **values}


@pytest.mark.parametrize("document", [DARK, *ODD], ids=str)
def test_a_form_saves_the_document(place: Place, document: Any) -> None:
    user = add(place)
    form = UserForm(filled(user, document), instance=user)
    assert form.is_valid(), form.errors
    form.save()
    assert stored(place, user) == exactly(document)
    assert User.objects.get(pk=user.pk).first_name == "Ada"


def test_a_form_that_is_saved_later_saves_it_then(place: Place) -> None:
    user = add(place)
    form = UserForm(filled(user, DARK), instance=user)
    unsaved = form.save(commit=False)
    assert stored(place, user) == exactly(BEFORE)
    unsaved.preferences["by hand"] = 1
    unsaved.save()
    assert stored(place, user) == exactly({**DARK, "by hand": 1})
    unsaved.preferences = {"theme": "light"}
    unsaved.save()
    form.save_m2m()
    unsaved.save()
    assert stored(place, user) == exactly({"theme": "light"})


def test_a_form_makes_a_new_user_with_preferences(place: Place) -> None:
    assert stored(place, UserForm(filled(User(), DARK)).save()) == exactly(DARK)


def test_a_form_shows_the_document_and_posted_back_it_writes_nothing(place: Place) -> None:
    text = '{"n": 1.0, "pi": 3.141592653589793238462643383279, "x": [true, null]}'
    user = User.objects.get(pk=stores.insert_user(place, text))
    data = _Page(str(UserForm(instance=user))).data
    assert json.loads(data["preferences"])["n"] == 1
    user = User.objects.get(pk=user.pk)
    form = UserForm({**data, "first_name": "Ada"}, instance=user)
    assert form.changed_data == ["first_name"]
    sent = statements(form.save)
    assert not [statement for statement in sent if "FOR NO KEY UPDATE" in statement]
    assert UserPreferences.objects.document_text(user.pk) == stores.as_jsonb(text)


def test_a_request_that_leaves_the_field_out_keeps_the_document(place: Place) -> None:
    user = add(place)
    UserForm(filled(user), instance=user).save()
    assert user.preferences == BEFORE
    user.save()
    assert stored(place, user) == exactly(BEFORE)


def test_a_second_form_of_one_instance_saves_what_it_has(place: Place) -> None:
    user = add(place)
    user.full_clean(exclude=["password"])
    for document in ({"first": 1}, {"second": 2}):
        form = UserForm(filled(user, document), instance=user)
        form.save(commit=False).save()
        assert stored(place, user) == exactly(document)


def test_an_emptied_field_is_null(place: Place) -> None:
    user = add(place)
    UserForm(filled(user, preferences=""), instance=user).save()
    assert stores.primary_text(place, user.pk) is None


def test_what_is_no_json_is_an_error_of_the_form_and_changes_nothing(place: Place) -> None:
    user = add(place)
    form = UserForm(filled(user, preferences="{"), instance=user)
    assert form.errors.keys() == {"preferences"}
    assert user.preferences == BEFORE
    with pytest.raises(ValueError, match="didn't validate"):
        form.save()


class CleaningForm(UserForm):
    def clean_preferences(self) -> Any:
        return {**self.cleaned_data["preferences"], "cleaned": True}


class DeclaringForm(UserForm):
    preferences = forms.JSONField()


@pytest.mark.parametrize("commit", [True, False])
def test_what_a_form_cleans_by_itself_is_saved(place: Place, commit: bool) -> None:
    user = add(place)
    CleaningForm(filled(user, DARK), instance=user).save(commit=commit)
    user.save()
    assert stored(place, user) == exactly({**DARK, "cleaned": True})


def test_a_field_that_a_form_declares_itself_is_saved(place: Place) -> None:
    user = add(place)
    DeclaringForm(filled(user, DARK), instance=user).save()
    assert stored(place, user) == exactly(DARK)


def test_a_stale_form_leaves_what_others_wrote(place: Place) -> None:
    user = add(place)
    form = UserForm(filled(user, DARK), instance=user)
    UserPreferences.objects.merge(user.pk, {"added": 1})
    form.save()
    assert stored(place, user) == exactly({**DARK, "added": 1})


def test_formsets_save_each_document(place: Place) -> None:
    users = [add(place), add(place)]
    formset_class = forms.modelformset_factory(User, form=UserForm, extra=0)
    data = {"form-TOTAL_FORMS": "2", "form-INITIAL_FORMS": "2"}
    for number, user in enumerate(users):
        values = filled(user, {"n": number}, id=str(user.pk))
        data |= {f"form-{number}-{name}": value for name, value in values.items()}
    formset = formset_class(data, queryset=User.objects.order_by("pk"))
    assert formset.is_valid(), formset.errors
    formset.save()
    assert [stored(place, user) for user in users] == [exactly({"n": 0}), exactly({"n": 1})]


def test_a_form_of_something_else_may_use_the_form_field(place: Place) -> None:
    field = User._meta.get_field("preferences").formfield()
    form = type("Plain", (forms.Form,), {"preferences": field})({"preferences": '{"a": 1}'})
    assert form.is_valid()
    assert form.cleaned_data == {"preferences": {"a": 1}}


# --- the admin ------------------------------------------------------------------------------


@pytest.fixture
def browser() -> Client:
    """A superuser's."""
    client = Client()
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    return client


def page_of(user: User) -> str:
    return f"/admin/accounts/user/{user.pk}/change/"


class _Page(HTMLParser):
    """The fields of a page's form that has a document, as a browser would post them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.data: dict[str, str] = {}
        self._name: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name, kind = given.get("name"), given.get("type")
        if tag == "textarea" and name:
            self._name, self.data[name] = name, ""
        elif tag == "input" and name and (kind != "checkbox" or "checked" in given):
            self.data[name] = given.get("value") or ""

    def handle_data(self, data: str) -> None:
        if self._name:
            # A newline right after the tag is not part of the text.
            self.data[self._name] += data.removeprefix("\n")

    def handle_endtag(self, tag: str) -> None:
        self._name = None


def posted(response: Any) -> dict[str, str]:
    """What a browser would post of the page, untouched."""
    return _Page(response.content.decode()).data


@pytest.mark.parametrize("document", [DARK, None, [1, 2.0], {"theme": "purple"}], ids=str)
def test_the_admin_edits_the_document(place: Place, browser: Client, document: Any) -> None:
    user = add(place)
    data = posted(browser.get(page_of(user)))
    assert exactly(json.loads(data["preferences"])) == exactly(BEFORE)
    response = browser.post(page_of(user), {**data, "preferences": json.dumps(document)})
    assert response.status_code == 302, response.context["errors"]
    assert stored(place, user) == exactly(document)
    assert exactly(json.loads(posted(browser.get(page_of(user)))["preferences"])) == exactly(
        document
    )


def test_the_admin_edits_other_fields_and_leaves_the_document(
    place: Place, browser: Client
) -> None:
    user = add(place)
    before = UserPreferences.objects.document_text(user.pk)
    data = posted(browser.get(page_of(user)))
    sent = statements(lambda: browser.post(page_of(user), {**data, "first_name": "Ada"}))
    assert not [statement for statement in sent if "FOR NO KEY UPDATE" in statement]
    assert User.objects.get(pk=user.pk).first_name == "Ada"
    assert UserPreferences.objects.document_text(user.pk) == before


def test_the_admin_adds_and_deletes_users(place: Place, browser: Client) -> None:
    data = {"username": "new", "usable_password": "false", "password1": "", "password2": ""}
    response = browser.post("/admin/accounts/user/add/", data)
    assert response.status_code == 302, response.context["errors"]
    user = User.objects.get(username="new")
    assert stored(place, user) == "{}"
    response = browser.post(f"/admin/accounts/user/{user.pk}/delete/", {"post": "yes"})
    assert response.status_code == 302
    assert not User.objects.filter(username="new").exists()


UNSTORABLE_TEXTS = {
    "not a number": "NaN",
    "too large": "1e999",
    "a surrogate": '"\\ud800"',
    "NUL": '"\\u0000"',
    "too deep": "[" * 100_000,
    "too many digits": "9" * 5_000,
    "no JSON": "{",
}


@pytest.mark.parametrize("name", UNSTORABLE_TEXTS)
def test_a_form_says_at_its_field_what_cannot_be_stored(name: str) -> None:
    """Case A20: it was valid, and saving it failed; or RecursionError."""
    form = UserForm({"username": "new", "preferences": UNSTORABLE_TEXTS[name]})
    assert not form.is_valid()
    assert list(form.errors) == ["preferences"]
    assert form.as_p()

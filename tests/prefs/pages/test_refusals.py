"""Who is let in, and what is said where something is wrong: a sentence each, and never a 500."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.http import HttpRequest
from django.test import Client, override_settings

from prefs.mapping import LEAVES
from tests.prefs.pages.reading import ADDRESS, Person, json_text, login_page, read
from tests.support import stores
from tests.support.stores import Place
from tests.support.tampering import tamper

pytestmark = pytest.mark.django_db
WRONG = {
    "items_per_page": ["0", "501", "10.5", "1e2", "many", "1_0", "9" * 400, "-"],
    "language": ["x", "de_DE", "de-", "a" * 36],
    "timezone": ["Nowhere/At_All", "FOO5", "Factory", "localtime"],
    "notifications.quiet_hours.start": ["24:00", "7", "12:60", "12:00:00", "noon"],
    "theme": [json_text("purple"), "dark", "null", "[]", " "],
    "compact_mode": ["1", "on", '"true"', "yes"],
}
CASES = [(name, answer) for name, answers in WRONG.items() for answer in answers]


@pytest.fixture
def person(db: None) -> Person:
    return Person.with_document(Place.BLOB, '{"theme": "light"}')


@pytest.mark.parametrize(("name", "answer"), CASES)
def test_a_wrong_answer_is_an_error_at_its_field_and_in_the_summary(
    person: Person, name: str, answer: str
) -> None:
    expected = next(leaf.domain.expected for leaf in LEAVES if leaf.dotted == name)
    page = person.is_refused(person.opens(), {name: answer})
    assert page.text.count(f"Enter {expected}.") == 2
    [link] = [link for link in page.links if link.startswith("#")]
    assert link.removeprefix("#") in page.ids
    assert f"id_{name}-error" in page.ids
    if name not in page.choices:
        assert page.answers[name] == answer
        assert page.inputs[name]["aria-invalid"] == "true"
        assert f"id_{name}-error" in (page.inputs[name]["aria-describedby"] or "").split()


@pytest.mark.parametrize(
    ("charset", "text"), [("raw_unicode_escape", r"\ud800"), ("utf-7", "+2AA-")]
)
def test_a_form_that_is_not_sent_in_utf_8_is_a_bad_request(
    person: Person, charset: str, text: str
) -> None:
    """In others there are texts that no page can show again."""
    part = f'--b\r\nContent-Disposition: form-data; name="language"\r\n\r\n{text}\r\n--b--\r\n'
    content_type = f"multipart/form-data; boundary=b; charset={charset}"
    assert person.client.generic("POST", ADDRESS, part, content_type).status_code == 400
    assert person.document == {"theme": "light"}


def test_a_right_answer_beside_a_wrong_one_is_not_saved_and_not_lost(person: Person) -> None:
    page = person.is_refused(person.opens(), {"language": "?", "theme": json_text("dark")})
    assert page.answers["theme"] == json_text("dark")


def test_a_value_that_this_machine_does_not_know_is_no_error_unless_it_is_changed() -> None:
    """The set of time zones changes with every release of tzdata."""
    person = Person.with_document(Place.BLOB, '{"timezone": "Mars/Olympus"}')
    person.saves(person.opens(), {"theme": json_text("dark")})
    assert person.document == {"timezone": "Mars/Olympus", "theme": "dark"}


def test_whoever_is_not_logged_in_is_sent_to_log_in() -> None:
    for answer in (Client().get(ADDRESS), Client().post(ADDRESS, {"theme": '"dark"'})):
        assert (answer.status_code, answer["Location"]) == (302, f"{login_page()}?next={ADDRESS}")


def test_a_form_of_another_site_is_refused() -> None:
    person = Person.with_document(Place.BLOB, "{}", enforce_csrf_checks=True)
    assert person.client.post(ADDRESS, {"theme": json_text("dark")}).status_code == 403
    assert person.document == {}
    page = person.opens()
    person.saves(page, {"theme": json_text("dark")})
    assert person.document == {"theme": "dark"}


@override_settings(
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ]
)
def test_a_site_without_the_csrf_middleware_is_protected_all_the_same() -> None:
    test_a_form_of_another_site_is_refused()


def test_other_methods_are_not_allowed(person: Person) -> None:
    answer = person.client.put(ADDRESS)
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD, POST")


def test_the_page_is_not_kept_by_caches(person: Person) -> None:
    assert "no-store" in person.client.get(ADDRESS)["Cache-Control"]


def test_a_missing_switch_is_a_sentence(person: Person) -> None:
    page = person.opens()
    tamper("DELETE FROM waffle_switch WHERE name = 'prefs_dual_write'")
    for answer in (person.client.get(ADDRESS), person.sends(page, {"theme": json_text("dark")})):
        assert answer.status_code == 503
        assert "Please try again in a few minutes." in read(answer).text
        # What an operator has to know is none of a visitor's business.
        assert "waffle" not in read(answer).text


def test_a_document_whose_text_cannot_be_built_is_a_sentence(person: Person) -> None:
    page = person.opens()
    stores.query(
        "CREATE OR REPLACE FUNCTION prefs_document_text(doc jsonb) RETURNS text"
        " LANGUAGE sql STABLE STRICT AS 'SELECT NULL::text'"
    )
    for answer in (person.client.get(ADDRESS), person.sends(page, {"theme": json_text("dark")})):
        assert answer.status_code == 507
        assert "too large to be shown" in read(answer).text


def test_a_user_who_was_deleted_meanwhile_is_sent_to_log_in(person: Person) -> None:
    page = person.opens()
    person.user.delete()
    assert person.sends(page, {"theme": json_text("dark")}).status_code == 302


@override_settings(PREFS_MAX_DOCUMENT_BYTES=100)
def test_a_document_that_grows_too_long_is_refused_in_the_summary() -> None:
    person = Person.with_document(Place.BLOB, json.dumps({"notes": "x" * 100}))
    page = person.is_refused(person.opens(), {"theme": json_text("dark")})
    assert "expected at most 100" in page.text
    assert page.answers["theme"] == json_text("dark")


def test_what_the_database_refuses_is_an_error_at_its_field(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when an old process of a rolling deploy knows a domain that a new one has narrowed."""
    monkeypatch.setattr("prefs.domains.Choice.form_field", _lenient)
    answer = person.sends(person.opens(), {"theme": json_text("purple")})
    page = read(answer)
    assert answer.status_code == 422
    assert page.text.count('"purple" is not one of "light", "dark", "system"') == 2
    assert person.document == {"theme": "light"}
    assert connection.is_usable()


def _lenient(domain: Any) -> Any:
    from prefs.answers import OneOf

    return OneOf({v: v for v in (*domain.values, "purple")}, expected=domain.expected)


def named_in_the_request(request: HttpRequest) -> Any:
    return request.headers.get("X-Owner")


@override_settings(PREFS_API_OWNER=f"{__name__}.named_in_the_request")
def test_whose_page_it_is_a_site_can_say_as_for_the_api(person: Person) -> None:
    other = Person.with_document(Place.BLOB, '{"theme": "system"}')
    person.client.defaults["HTTP_X_OWNER"] = str(other.user.pk)
    page = person.opens()
    assert page.answers["theme"] == json_text("system")
    person.saves(page, {"theme": json_text("dark")})
    assert (other.document, person.document) == ({"theme": "dark"}, {"theme": "light"})


@override_settings(PREFS_API_OWNER=f"{__name__}.named_in_the_request")
@pytest.mark.parametrize("named", [None, "nobody", str(stores.NOBODY)])
def test_who_has_no_preferences_is_told_so(person: Person, named: str | None) -> None:
    page = read(person.client.get(ADDRESS))
    if named:
        person.client.defaults["HTTP_X_OWNER"] = named
    for answer in (person.client.get(ADDRESS), person.sends(page, {"theme": json_text("dark")})):
        assert answer.status_code == 404
        assert "There are no preferences for this account." in read(answer).text

"""The settings page saves what was changed on it, and nothing else, in every state."""

from __future__ import annotations

import json

import pytest
from django.test import override_settings

from prefs.mapping import LEAVES
from prefs.pages import forms
from tests.prefs.pages.reading import ADDRESS, NOT_SET, Person, json_text
from tests.support.stores import Place

pytestmark = pytest.mark.django_db
BEFORE = {
    "theme": "light",
    "items_per_page": 25,
    "compact_mode": False,
    "notifications": {"email": {"digest": "daily"}, "quiet_hours": {"start": "22:00"}},
    "beta": {"tour": 3},
}


@pytest.fixture
def person(place: Place) -> Person:
    return Person.with_document(place, json.dumps(BEFORE))


def test_the_page_shows_every_leaf_as_it_is_stored(person: Person) -> None:
    page = person.opens()
    answers = {leaf.dotted: page.answers[leaf.dotted] for leaf in LEAVES}
    given = {
        "theme": '"light"',
        "items_per_page": "25",
        "compact_mode": "false",
        "notifications.email.digest": '"daily"',
        "notifications.quiet_hours.start": "22:00",
    }
    assert answers == {leaf.dotted: NOT_SET for leaf in LEAVES} | given


def test_what_was_changed_is_saved_and_said_and_all_else_stays(person: Person) -> None:
    page = person.saves(
        person.opens(),
        {
            "theme": json_text("dark"),
            "items_per_page": " 50 ",
            "notifications.push.mentions": "true",
            "notifications.quiet_hours.end": "7:30",
            "language": "pt-BR",
        },
    )
    assert "Saved: Theme; Language; Items per page; " in page.text
    assert "Notifications / Push / Mentions" in page.text
    assert person.document == {
        **BEFORE,
        "theme": "dark",
        "language": "pt-BR",
        "items_per_page": 50,
        "notifications": {
            "email": {"digest": "daily"},
            "push": {"mentions": True},
            "quiet_hours": {"start": "22:00", "end": "07:30"},
        },
    }


def test_not_set_is_a_choice_that_removes_the_leaf(person: Person) -> None:
    answers = {"theme": NOT_SET, "items_per_page": "  ", "compact_mode": NOT_SET}
    page = person.saves(person.opens(), answers)
    assert {name: page.answers[name] for name in answers} == dict.fromkeys(answers, NOT_SET)
    assert person.document == {k: v for k, v in BEFORE.items() if k not in answers}


def test_nothing_changed_writes_nothing_and_says_so(person: Person) -> None:
    before = person.text
    assert "Nothing was changed." in person.saves(person.opens(), {}).text
    assert person.text == before


def test_two_tabs_do_not_overwrite_each_other(person: Person) -> None:
    first, second = person.opens(), person.opens()
    person.saves(first, {"theme": json_text("dark"), "compact_mode": "true"})
    person.saves(second, {"items_per_page": "100", "notifications.email.digest": NOT_SET})
    found = person.document
    assert (found["theme"], found["compact_mode"], found["items_per_page"]) == ("dark", True, 100)
    assert found["notifications"]["email"] == {}


def test_of_one_leaf_changed_in_two_tabs_the_later_stands(person: Person) -> None:
    first, second = person.opens(), person.opens()
    person.saves(first, {"theme": json_text("dark")})
    person.saves(second, {"theme": json_text("system")})
    assert person.document["theme"] == "system"


def test_a_refused_tab_keeps_its_answers_and_shows_what_the_other_saved(person: Person) -> None:
    first, second = person.opens(), person.opens()
    person.saves(first, {"theme": json_text("dark"), "compact_mode": "true"})
    again = person.is_refused(second, {"items_per_page": "many", "language": "de"})
    shown = {name: again.answers[name] for name in ("items_per_page", "language", "theme")}
    assert shown == {"items_per_page": "many", "language": "de", "theme": '"dark"'}
    person.saves(again, {"items_per_page": "10"})
    expected = {**BEFORE, "theme": "dark", "compact_mode": True, "items_per_page": 10}
    assert person.document == expected | {"language": "de"}


def test_what_a_form_leaves_out_is_not_touched(person: Person) -> None:
    person.client.post(ADDRESS, {"theme": json_text("dark")})
    assert person.document == {**BEFORE, "theme": "dark"}


def test_a_page_that_saved_all_that_it_shows_would_be_noticed(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "_rebased", lambda data, *_: dict(data.items()))
    with pytest.raises(AssertionError):
        test_two_tabs_do_not_overwrite_each_other(person)


@override_settings(LANGUAGE_CODE="ar")
def test_where_the_language_runs_from_right_to_left_the_page_does(person: Person) -> None:
    page = person.client.get(ADDRESS).content.decode()
    assert '<html lang="ar" dir="rtl">' in page
    person.saves(person.opens(), {"theme": json_text("dark")})
    assert person.document == {**BEFORE, "theme": "dark"}

"""What does not fit is shown as it is and kept, until the person it belongs to changes it."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from prefs.answers import KEPT
from prefs.engine import seeding
from prefs.mapping import LEAVES
from tests.prefs.pages.reading import NOT_SET, Person, json_text, read
from tests.support import stores
from tests.support.places import EnterRoute
from tests.support.stores import Place
from tests.support.tampering import tamper

pytestmark = pytest.mark.django_db
ODD: dict[str, Any] = {
    "theme": "purple",
    "language": "not a tag",
    "items_per_page": 10.0,
    "compact_mode": None,
    "date_format": {"iso": True},
    "notifications": {"email": {"digest": "hourly", "mentions": "true"}, "quiet_hours": {}},
}
LOST = "Nothing was saved: tick this box"


def with_all(value: Any) -> dict[str, Any]:
    """A document that has this value in the place of every leaf."""
    document: dict[str, Any] = {}
    for leaf in LEAVES:
        node = document
        for name in leaf.path[:-1]:
            node = node.setdefault(name, {})
        node[leaf.name] = value
    return document


def test_odd_values_are_shown_as_they_are_and_kept(place: Place) -> None:
    person = Person.with_document(place, json.dumps(ODD))
    page, before = person.opens(), person.text
    for shown in ('"purple"', '"not a tag"', "10.0", "null", '{"iso": true}', '"hourly"', '"true"'):
        assert f"is kept unless you change it: {shown}" in page.text
    assert "Nothing was changed." in person.saves(page, {}).text
    assert person.text == before
    person.saves(page, {"notifications.push.messages": "true", "timezone": "UTC"})
    changed = {
        "email": ODD["notifications"]["email"],
        "quiet_hours": {},
        "push": {"messages": True},
    }
    assert person.document == {**ODD, "timezone": "UTC", "notifications": changed}


@pytest.mark.parametrize("odd", [None, [], {}, "\u202e<b>", 1e3, -1])
def test_an_odd_value_of_any_leaf_can_be_removed(odd: Any, db: None) -> None:
    person = Person.with_document(Place.BLOB, json.dumps(with_all(odd)))
    page = person.opens()
    names = [leaf.dotted for leaf in LEAVES]
    lines = [name for name in names if name not in page.choices]
    answers = dict.fromkeys(page.choices, NOT_SET)
    person.saves(page, answers | dict.fromkeys([f"{name}:remove" for name in lines], "on"))
    groups = ("email", "push", "sms", "quiet_hours")
    assert person.document == {"notifications": {name: {} for name in groups}}


def test_an_odd_value_gives_way_to_a_right_one(place: Place) -> None:
    person = Person.with_document(place, json.dumps(ODD))
    answers = {"theme": json_text("light"), "language": "de", "items_per_page": "10"}
    page = person.saves(person.opens(), answers)
    assert {name: page.answers[name] for name in answers} == answers
    assert KEPT not in page.choices["theme"]


def test_to_enter_a_value_and_to_remove_it_is_a_contradiction(db: None) -> None:
    person = Person.with_document(Place.BLOB, json.dumps(ODD))
    page = person.is_refused(person.opens(), {"language": "de", "language:remove": "on"})
    assert "Enter a value or choose “Not set”, not both." in page.text
    assert (page.answers["language"], page.answers["language:remove"]) == ("de", "on")


def test_a_leaf_that_was_made_odd_elsewhere_stays_unless_it_was_changed_here(db: None) -> None:
    person = Person.with_document(Place.BLOB, '{"items_per_page": 5, "language": "de"}')
    page = person.opens()
    person.user.preferences = {"items_per_page": "six", "language": "?"}
    person.user.save()
    person.saves(page, {"theme": json_text("dark")})
    assert person.document == {"items_per_page": "six", "language": "?", "theme": "dark"}
    person.saves(page, {"items_per_page": "", "language": "fr"})
    assert person.document == {"language": "fr", "theme": "dark"}


NO_OBJECT = dict(zip(Place, ["[1, [2]]", '"dark"', "5", "true", "[]"], strict=True))


def test_a_document_that_is_no_object_is_shown_and_replaced_only_on_purpose(place: Place) -> None:
    text = NO_OBJECT[place]
    person = Person.with_document(place, text)
    page = person.opens()
    assert f"no group of settings: {text}" in page.text
    assert "Nothing was changed." in person.saves(page, {}).text
    assert LOST in person.is_refused(page, {"theme": json_text("dark")}).text
    assert person.text == text
    person.saves(page, {"theme": json_text("dark"), ":replace": "on"})
    assert person.document == {"theme": "dark"}


NOTHING = dict(zip(Place, [None, "null", "{}", None, "null"], strict=True))


def test_where_nothing_is_stored_nothing_has_to_be_replaced(place: Place) -> None:
    text = NOTHING[place]
    person = Person.with_document(place, text)
    page = person.opens()
    assert "no group of settings" not in page.text
    person.saves(page, {})
    assert person.text == text
    person.saves(page, {"theme": json_text("dark")})
    assert person.document == {"theme": "dark"}


@pytest.mark.parametrize("dotted", ["notifications", "notifications.email"])
def test_what_stands_in_the_place_of_a_group_is_replaced_only_on_purpose(
    place: Place, dotted: str
) -> None:
    document = (
        {"notifications": "off"}
        if dotted == "notifications"
        else {"notifications": {"email": "off", "push": {"messages": True}}}
    )
    person = Person.with_document(place, json.dumps(document))
    page = person.opens()
    assert 'no group of settings: "off"' in page.text
    wanted = {"notifications.email.mentions": "true"}
    again = person.is_refused(page, wanted)
    assert f"#id_{dotted}:replace" in again.links
    assert f"id_{dotted}:replace" in again.ids
    person.saves(again, {f"{dotted}:replace": "on"})
    assert person.document["notifications"]["email"] == {"mentions": True}


def test_a_group_that_became_a_value_meanwhile_is_not_lost(db: None) -> None:
    person = Person.with_document(Place.BLOB, "{}")
    page = person.opens()
    person.user.preferences = ["all", "of", "it"]
    person.user.save()
    again = person.is_refused(page, {"theme": json_text("dark")})
    assert LOST in again.text
    assert again.answers["theme"] == json_text("dark")


def test_what_a_canary_reads_does_not_decide_what_is_replaced(in_route: EnterRoute) -> None:
    """Its tables may be damaged; the blob is what is written."""
    person = Person.with_document(in_route(Place.BLOB_MIRRORED), "[1]")
    stores.fill_tables([person.user.pk], [stores.DECOY])
    tamper("UPDATE waffle_sample SET percent = 100 WHERE name = 'prefs_canary_reads'")
    page = person.opens()
    assert page.answers["theme"] == json_text("system")
    before = stores.blob_text(person.user.pk)
    answer = person.sends(page, {"items_per_page": "10"})
    assert (answer.status_code, LOST in read(answer).text) == (422, True)
    assert stores.blob_text(person.user.pk) == before == "[1]"


HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "{{ settings.SECRET_KEY }}{% debug %}&lt;amp;",
    "\u202etxt.exe\u2066\u0001\u007f\ufffe line\r\nbreak",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_are_text_and_stay_as_they_are(value: str, db: None) -> None:
    document = {
        "theme": value,
        "language": value,
        "items_per_page": {value: [value]},
        "notifications": {"email": value},
        value: value,
    }
    person = Person.with_document(Place.BLOB, json.dumps(document))
    page = person.opens()
    assert {"script", "img"}.isdisjoint(page.tags)
    person.saves(page, {"compact_mode": "true"})
    assert person.document == {**document, "compact_mode": True}


def test_a_long_value_is_cut_off_where_it_is_shown_and_kept_whole(place: Place) -> None:
    document = {"theme": "x" * 100_000, "language": "y" * 100_000}
    person = Person.with_document(place, json.dumps(document))
    page = person.opens()
    assert "… and 99702 more characters" in page.text
    assert len(page.text) < 20_000
    person.saves(page, {"compact_mode": "true"})
    assert person.document == {**document, "compact_mode": True}


def test_what_python_cannot_decode_is_neither_in_the_way_nor_changed(place: Place) -> None:
    """It stands under a key of nobody's, and in the place of a leaf."""
    deep = "[" * 2000 + "]" * 2000
    notes = f"[{deep}, {'9' * 6000}, 0.{'12' * 300}, 1.00]"
    person = Person.with_document(place, f'{{"notes": {notes}, "theme": {deep}}}')
    before = person.text
    page = person.opens()
    person.saves(page, {"compact_mode": "true"})
    assert person.text is not None
    assert (person.text.count(notes), person.text.count(deep)) == (1, 2)
    person.saves(page, {"compact_mode": NOT_SET, "compact_mode:was": "true"})
    assert person.text == before


@pytest.mark.parametrize("seed", range(3))
def test_made_up_odd_documents_open_and_stay_as_they_are(place: Place, seed: int) -> None:
    rng = random.Random(f"{seed} {place.name}")
    person = Person.with_document(place, seeding.blob(rng, odd=1.0))
    before = person.text
    page = person.opens()
    person.saves(page, {})
    assert person.text == before
    another = next(
        each for each in page.choices["theme"] if each not in (page.answers["theme"], "")
    )
    answer = person.sends(page, {"theme": another})
    assert (answer.status_code, person.text == before) in ((302, False), (422, True))

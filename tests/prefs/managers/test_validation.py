"""What new input is refused for, leaf by leaf, and what is never asked of what is stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.test import override_settings

from prefs.codec import InvalidDocument
from prefs.mapping import LEAVES
from prefs.models import UserPreferences
from tests.support import stores
from tests.support.stores import Place

pytestmark = pytest.mark.django_db

EXPECTED = {leaf.dotted: leaf.domain.expected for leaf in LEAVES}
BAD: dict[str, Any] = {
    "theme": "purple",
    "language": "x" * 36,
    "timezone": "Mars/Olympus Mons",
    "date_format": None,
    "items_per_page": 501,
    "compact_mode": "yes",
    "notifications.email.marketing": 1,
    "notifications.email.product_updates": "true",
    "notifications.email.security": [],
    "notifications.email.mentions": {},
    "notifications.email.digest": "hourly",
    "notifications.push.mentions": 0,
    "notifications.push.messages": "",
    "notifications.push.security": [True],
    "notifications.sms.security": {"on": True},
    "notifications.quiet_hours.start": "24:00",
    "notifications.quiet_hours.end": "7:30",
}


@pytest.fixture
def _a_hundred_bytes_at_most() -> Iterator[None]:
    with override_settings(PREFS_MAX_DOCUMENT_BYTES=100):
        yield


def document_of(leaves: dict[str, Any]) -> dict[str, Any]:
    """The document that has these values at these dotted places."""
    document: dict[str, Any] = {}
    for dotted, value in leaves.items():
        *parents, name = dotted.split(".")
        inner = document
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[name] = value
    return document


def refused(user: int, document: Any) -> dict[str, str]:
    """The errors of a replacement that is refused, writes nothing and spoils no transaction."""
    before = stores.versions(user)
    with transaction.atomic():
        with pytest.raises(InvalidDocument, match=f"user {user} were not changed") as refusal:
            UserPreferences.objects.replace(user, document)
        assert stores.versions(user) == before
    return refusal.value.errors


def test_every_bad_leaf_is_named_at_once_with_its_value_and_what_was_expected(
    place: Place,
) -> None:
    user = stores.insert_user(place, "{}")
    shown = {dotted: json.dumps(value) for dotted, value in BAD.items()}
    expected = {dotted: f"{shown[dotted]} is not {EXPECTED[dotted]}" for dotted in BAD}
    assert list(BAD) == list(EXPECTED)
    for _ in range(2):
        assert refused(user, document_of(BAD)) == expected


def test_a_bad_leaf_of_a_patch_is_named_and_the_good_ones_are_not_written(place: Place) -> None:
    user = stores.insert_user(place, '{"theme": "dark"}')
    before = stores.versions(user)
    patch = {"theme": "light", "notifications": {"email": {"digest": "often"}}}
    with pytest.raises(InvalidDocument) as refusal:
        UserPreferences.objects.merge(user, patch)
    name = "notifications.email.digest"
    assert refusal.value.errors == {name: f'"often" is not {EXPECTED[name]}'}
    assert refusal.value.user_id == user
    assert stores.versions(user) == before


@pytest.mark.parametrize(
    ("document", "errors"),
    [
        ({"notifications": 5}, {"notifications": "5 is not an object"}),
        ({"notifications": None}, {"notifications": "null is not an object"}),
        ({"notifications": {"sms": []}}, {"notifications.sms": "[] is not an object"}),
        ({"theme": 10.0}, {"theme": f"10.0 is not {EXPECTED['theme']}"}),
        (
            {"items_per_page": 10.0},
            {"items_per_page": f"10.0 is not {EXPECTED['items_per_page']}"},
        ),
        ({"theme": "é" * 100}, {"theme": f'"{"é" * 79}… is not {EXPECTED["theme"]}'}),
    ],
    ids=str,
)
def test_a_leaf_or_parent_of_a_wrong_type_is_named(
    place: Place, document: Any, errors: dict[str, str]
) -> None:
    assert refused(stores.insert_user(place, "{}"), document) == errors


@pytest.mark.parametrize("root", [[], ["theme"], "dark", 7, True, None], ids=repr)
def test_a_root_that_is_no_object_is_refused_unless_it_is_stored(place: Place, root: Any) -> None:
    user = stores.insert_user(place, "{}")
    assert refused(user, root) == {"": f"{json.dumps(root)} is not an object"}
    stored = stores.insert_user(place, json.dumps(root))
    for _ in range(2):
        assert UserPreferences.objects.replace(stored, root) == root
    assert UserPreferences.objects.merge(stored, root) == root


# As read by Python and put back: it reads 10.50 as 10.5, and 1e2 in a string as itself.
QUARANTINED = (
    '{"theme": "mauve", "items_per_page": 10.50, "compact_mode": [1.500, {}], "timezone": null,'
    ' "notifications": {"email": 5, "push": {"mentions": "1e2"}, "quiet_hours": {"end": "24:00"}}}'
)


def test_an_object_that_was_read_can_always_be_put_back(place: Place) -> None:
    user = stores.insert_user(place, QUARANTINED)
    document = UserPreferences.objects.document(user)
    for _ in range(2):
        assert UserPreferences.objects.replace(user, document) == document


def test_a_quarantined_leaf_that_is_changed_is_validated(place: Place) -> None:
    user = stores.insert_user(place, QUARANTINED)
    document = UserPreferences.objects.document(user) | {"theme": "taupe", "items_per_page": 10.75}
    assert refused(user, document) == {
        "theme": f'"taupe" is not {EXPECTED["theme"]}',
        "items_per_page": f"10.75 is not {EXPECTED['items_per_page']}",
    }


def test_a_quarantined_leaf_does_not_block_its_siblings(place: Place) -> None:
    user = stores.insert_user(place, QUARANTINED)
    patch = {"language": "pt-BR", "notifications": {"quiet_hours": {"start": "22:00"}}}
    merged = UserPreferences.objects.merge(user, patch)
    assert UserPreferences.objects.merge(user, patch) == merged
    assert merged["theme"] == "mauve"
    assert merged["language"] == "pt-BR"
    assert merged["notifications"]["quiet_hours"] == {"start": "22:00", "end": "24:00"}


def test_a_quarantined_leaf_can_be_corrected_and_taken_out(place: Place) -> None:
    user = stores.insert_user(place, QUARANTINED)
    merged = UserPreferences.objects.merge(
        user, {"theme": "dark", "notifications": {"email": None}}
    )
    assert merged["theme"] == "dark"
    assert "email" not in merged["notifications"]


def test_a_parent_that_becomes_an_object_is_validated_within(place: Place) -> None:
    user = stores.insert_user(place, QUARANTINED)
    name = "notifications.email.marketing"
    with pytest.raises(InvalidDocument) as refusal:
        UserPreferences.objects.merge(user, {"notifications": {"email": {"marketing": 3}}})
    assert refusal.value.errors == {name: f"3 is not {EXPECTED[name]}"}


@pytest.mark.parametrize("zone", ["Mars/Phobos", "FOO5", "Factory", "europe/lisbon"])
def test_a_zone_that_tzdata_lacks_is_refused_when_new_and_kept_when_stored(
    place: Place, zone: str
) -> None:
    user = stores.insert_user(place, '{"timezone": "Europe/Lisbon"}')
    message = f'"{zone}" is not {EXPECTED["timezone"]}'
    assert refused(user, {"timezone": zone}) == {"timezone": message}
    with pytest.raises(InvalidDocument, match=zone):
        UserPreferences.objects.merge(user, {"timezone": zone})
    stored = stores.insert_user(place, json.dumps({"timezone": zone}))
    document = {"timezone": zone, "theme": "dark"}
    for _ in range(2):
        assert UserPreferences.objects.replace(stored, document) == document
        assert UserPreferences.objects.merge(stored, {"timezone": zone}) == document


@pytest.mark.usefixtures("_a_hundred_bytes_at_most")
def test_a_document_over_the_size_limit_is_refused_with_its_size(place: Place) -> None:
    user = stores.insert_user(place, "{}")
    fits = {"x": "é" * 45 + "e"}
    assert UserPreferences.objects.replace(user, fits) == fits
    too_long = {"x": "é" * 46}
    size = len(json.dumps(too_long, ensure_ascii=False).encode())
    expected = f"its text has {size} bytes; expected at most 100"
    assert refused(user, too_long) == {"": expected}
    with pytest.raises(InvalidDocument, match="expected at most 100"):
        UserPreferences.objects.merge(user, {"y": 1})


@pytest.mark.usefixtures("_a_hundred_bytes_at_most")
def test_an_oversized_stored_document_may_shrink_and_stay_but_not_grow(place: Place) -> None:
    user = stores.insert_user(place, json.dumps({"x": "e" * 300, "y": 1}))
    document = UserPreferences.objects.document(user)
    for _ in range(2):
        assert UserPreferences.objects.replace(user, document) == document
    assert "its text has" in refused(user, document | {"y": 10})[""]
    for _ in range(2):
        assert UserPreferences.objects.merge(user, {"y": None}) == {"x": "e" * 300}
    assert UserPreferences.objects.merge(user, {"x": "e" * 299}) == {"x": "e" * 299}


def test_a_number_that_fits_is_not_respelled_as_one_that_does_not(place: Place) -> None:
    user = stores.insert_user(place, '{"items_per_page": 10}')
    with pytest.raises(InvalidDocument, match=r"items_per_page: 10\.0 is not an integer"):
        UserPreferences.objects.replace(user, {"items_per_page": 10.0})
    assert UserPreferences.objects.document_text(user) == '{"items_per_page": 10}'

"""Input that JSON or jsonb cannot hold is refused before or after it reaches PostgreSQL."""

from __future__ import annotations

import decimal
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.test import override_settings

from prefs.codec import InvalidDocument
from prefs.models import UserPreferences
from tests.support import stores
from tests.support.stores import Place

pytestmark = pytest.mark.django_db


def nested(depth: int) -> Any:
    """So many lists, one inside the other."""
    innermost: list[Any] = []
    for _ in range(depth - 1):
        innermost = [innermost]
    return innermost


CIRCLE: dict[str, Any] = {}
CIRCLE["twice"] = [CIRCLE, CIRCLE]

UNSTORABLE: dict[str, tuple[Any, str]] = {
    "NaN": ({"x": float("nan")}, "not JSON compliant"),
    "infinity": ({"x": [float("-inf")]}, "not JSON compliant"),
    "NUL in a value": ({"x": "a\x00b"}, "jsonb cannot store"),
    "NUL in a key": ({"a\x00b": 1}, "jsonb cannot store"),
    "surrogate in a value": ({"x": ["\ud800"]}, "jsonb cannot store"),
    "surrogate in a key": ({"x": {"\udfff": 1}}, "jsonb cannot store"),
    "integer key": ({"x": {1: "one"}}, "the key 1 is not a string"),
    "null key": ({None: 1}, "the key None is not a string"),
    "boolean key": ({True: 1}, "the key True is not a string"),
    "tuple key": ({("a",): 1}, "keys must be str"),
    "set": ({"x": {1}}, "not JSON serializable"),
    "bytes": ({"x": b"1"}, "not JSON serializable"),
    "decimal": ({"x": decimal.Decimal(1)}, "not JSON serializable"),
    "6000 digits": ({"x": 10**6000}, "integer string conversion"),
    "too deep for Python": ({"x": nested(100_000)}, "nested too deeply"),
    "circle": (CIRCLE, "Circular reference"),
}


@pytest.fixture
def _any_number_of_digits() -> Iterator[None]:
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    yield
    sys.set_int_max_str_digits(limit)


def assert_refused(user: int, document: Any, message: str) -> None:
    """Both writes refuse it, write nothing, and leave a caller's transaction usable."""
    before = stores.versions(user)
    for write in (UserPreferences.objects.replace, UserPreferences.objects.merge):
        with transaction.atomic():
            with pytest.raises(InvalidDocument, match=message) as refusal:
                write(user, document)
            assert list(refusal.value.errors) == [""]
            assert stores.versions(user) == before
            assert UserPreferences.objects.document(user) == {"theme": "dark"}


@pytest.mark.parametrize(("document", "message"), UNSTORABLE.values(), ids=UNSTORABLE.keys())
def test_what_json_cannot_say_is_refused(place: Place, document: Any, message: str) -> None:
    if "too deeply" in message:
        message = "nested (too deeply|more than 100 deep)"
    assert_refused(stores.insert_user(place, '{"theme": "dark"}'), document, message)


@pytest.mark.usefixtures("_any_number_of_digits")
def test_a_number_that_jsonb_cannot_hold_is_refused(place: Place) -> None:
    user = stores.insert_user(place, '{"theme": "dark"}')
    assert_refused(user, {"x": 10**131072}, "cannot store it as jsonb .*overflow")


@pytest.mark.usefixtures("_any_number_of_digits")
def test_huge_numbers_count_by_the_digits_of_their_text(place: Place) -> None:
    user = stores.insert_user(place, '{"theme": "dark"}')
    with override_settings(PREFS_MAX_DOCUMENT_BYTES=20_000):
        assert_refused(user, {"x": [10**5_000] * 4}, "has 200[0-9][0-9] bytes; .* at most 20000")


def test_nesting_that_python_writes_and_postgresql_refuses_is_an_invalid_document(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = stores.insert_user(place, '{"theme": "dark"}')
    too_deep = '{"x": ' + "[" * 100_000 + "]" * 100_000 + "}"
    monkeypatch.setattr("prefs.codec.json.dumps", lambda *_args, **_options: too_deep)
    assert_refused(user, {"x": "as in the text"}, "cannot store it as jsonb .*stack depth")


def test_strings_that_look_dangerous_are_only_strings(place: Place) -> None:
    user = stores.insert_user(place, "{}")
    document = {"%(user)s": "%s %%", "'; DROP TABLE x; --": '\\u0000 "\\"', "😀": "\u2028"}
    for _ in range(2):
        assert UserPreferences.objects.replace(user, document) == document
        assert UserPreferences.objects.merge(user, document) == document


def test_a_tuple_is_stored_as_the_array_it_means(place: Place) -> None:
    user = stores.insert_user(place, "{}")
    assert UserPreferences.objects.replace(user, {"x": (1, 2)}) == {"x": [1, 2]}

"""merge is RFC 7396: its own examples, its bound on depth, and targets that are no objects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prefs.codec import MAX_PATCH_DEPTH, InvalidDocument
from prefs.models import UserPreferences
from tests.support import stores
from tests.support.stores import Place

pytestmark = pytest.mark.django_db

# Appendix A of the RFC: target, patch, result. Its keys are none of ours.
EXAMPLES = [
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', "{}"),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ('["a","b"]', '["c","d"]', '["c","d"]'),
    ('{"a":"b"}', '["c"]', '["c"]'),
    ('{"a":"foo"}', "null", "null"),
    ('{"a":"foo"}', '"bar"', '"bar"'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
    ("[1,2]", '{"a":"b","c":null}', '{"a":"b"}'),
    ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
]
objects = [example for example in EXAMPLES if example[1].startswith("{")]
others = [example for example in EXAMPLES if not example[1].startswith("{")]
three = ("target", "patch", "result")


@pytest.mark.parametrize(three, EXAMPLES)
def test_the_function_in_the_database_is_the_rfc(target: str, patch: str, result: str) -> None:
    merged = stores.query("SELECT prefs_merge_patch(%s::jsonb, %s::jsonb)::text", [target, patch])
    assert merged[0][0] == stores.as_jsonb(result)


@pytest.mark.parametrize(three, objects)
def test_a_patch_that_is_an_object_merges_as_in_the_rfc(
    place: Place, target: str, patch: str, result: str
) -> None:
    user = stores.insert_user(place, target)
    for _ in range(2):
        assert UserPreferences.objects.merge(user, json.loads(patch)) == json.loads(result)
        assert stores.primary_text(place, user) == stores.as_jsonb(result)


@pytest.mark.parametrize(three, others)
def test_a_patch_that_is_no_object_replaces_the_value_under_a_key(
    place: Place, target: str, patch: str, result: str
) -> None:
    user = stores.insert_user(place, f'{{"k": {target}, "l": 1}}')
    expected = {"l": 1} if result == "null" else {"k": json.loads(result), "l": 1}
    for _ in range(2):
        assert UserPreferences.objects.merge(user, {"k": json.loads(patch)}) == expected


@pytest.mark.parametrize(three, others)
def test_a_whole_patch_that_is_no_object_is_refused(
    place: Place, target: str, patch: str, result: str
) -> None:
    user = stores.insert_user(place, target)
    with pytest.raises(InvalidDocument, match="is not an object") as refusal:
        UserPreferences.objects.merge(user, json.loads(patch))
    assert list(refusal.value.errors) == [""]
    assert stores.primary_text(place, user) == stores.as_jsonb(target)


@pytest.mark.parametrize("stored", [None, "null", "[1]", '"dark"', "7", "true"], ids=str)
def test_a_merge_into_what_is_no_object_begins_with_an_empty_one(
    place: Place, stored: str | None
) -> None:
    user = stores.insert_user(place, stored)
    patch = {"theme": "dark", "a": {"b": None, "c": 1}}
    for _ in range(2):
        assert UserPreferences.objects.merge(user, patch) == {"theme": "dark", "a": {"c": 1}}


def test_a_merge_into_a_parent_that_is_no_object_replaces_it(place: Place) -> None:
    user = stores.insert_user(place, '{"notifications": ["x"], "theme": "dark"}')
    patch = {"notifications": {"email": {"digest": "daily", "marketing": None}}}
    expected = {"theme": "dark", "notifications": {"email": {"digest": "daily"}}}
    for _ in range(2):
        assert UserPreferences.objects.merge(user, patch) == expected


def test_null_takes_a_leaf_out_and_leaves_its_siblings(place: Place) -> None:
    user = stores.insert_user(place, '{"notifications": {"push": {"mentions": true}}, "x": 1}')
    patch: dict[str, Any] = {"notifications": {"push": {"mentions": None}}}
    for _ in range(2):
        expected = {"notifications": {"push": {}}, "x": 1}
        assert UserPreferences.objects.merge(user, patch) == expected
    assert UserPreferences.objects.merge(user, {"notifications": None}) == {"x": 1}


def nested(depth: int, innermost: object) -> Any:
    """An object of `depth` objects, one inside the other, around `innermost`."""
    for _ in range(depth):
        innermost = {"a": innermost}
    return innermost


@pytest.mark.parametrize("innermost", [1, None], ids=["value", "removal"])
def test_a_patch_a_hundred_deep_merges(place: Place, innermost: object) -> None:
    user = stores.insert_user(place, "{}")
    patch = nested(MAX_PATCH_DEPTH, innermost)
    expected = patch if innermost else nested(MAX_PATCH_DEPTH - 1, {})
    for _ in range(2):
        assert UserPreferences.objects.merge(user, patch) == expected


@pytest.mark.parametrize("innermost", [{"a": 1}, {}, [], [1]], ids=str)
def test_a_patch_deeper_than_a_hundred_is_refused(place: Place, innermost: object) -> None:
    user = stores.insert_user(place, "{}")
    before = stores.versions(user)
    with pytest.raises(InvalidDocument, match="nested more than 100 deep"):
        UserPreferences.objects.merge(user, nested(MAX_PATCH_DEPTH, innermost))
    assert stores.versions(user) == before


def test_a_replacement_may_be_deeper_than_a_patch(place: Place) -> None:
    user = stores.insert_user(place, "{}")
    document = nested(500, 1)
    for _ in range(2):
        assert UserPreferences.objects.replace(user, document) == document

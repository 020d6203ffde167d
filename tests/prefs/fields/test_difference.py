"""A difference, applied in the database, makes exactly the second document of the first."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from prefs.difference import difference, replacement, same
from tests.support.stores import query

# Few keys, so that documents meet; what else holds them apart is their kinds.
keys = st.sampled_from(["a", "b", "theme", "notifications", ""])
scalars = st.sampled_from([None, True, False, 0, 1, 1.0, 0.5, "", "x", "1", 10**30, -1.25e-7])
documents = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(keys, below, max_size=4),
    max_leaves=12,
)


def applied(before: Any, change: Any) -> Any:
    """What prefs_changed makes of a document; None for SQL NULL, too."""
    texts = [None if before is None else json.dumps(before), json.dumps(change)]
    [(found,)] = query("SELECT prefs_changed(%s::jsonb, %s::jsonb)::text", texts)
    return None if found is None else json.loads(found)


class Differences(TestCase):
    @settings(max_examples=400, deadline=None)
    @given(documents, documents)
    def test_a_difference_makes_the_second_of_the_first(self, before: Any, after: Any) -> None:
        change = difference(before, after)
        if change is None:
            assert same(before, after)
        else:
            assert not same(before, after)
            assert same(applied(before, change), after)
            assert same(applied(after, change), after)

    @settings(max_examples=200, deadline=None)
    @given(documents, documents)
    def test_a_replacement_makes_it_of_any_document(self, before: Any, after: Any) -> None:
        assert same(applied(before, replacement(after)), after)

    @settings(max_examples=200, deadline=None)
    @given(st.dictionaries(keys, documents, max_size=4), documents, documents)
    def test_what_others_set_meanwhile_elsewhere_stays(
        self, before: dict[str, Any], mine: Any, theirs: Any
    ) -> None:
        change = difference(before, {**before, "mine": mine})
        assert change is not None
        meanwhile = {**before, "theirs": theirs}
        assert same(applied(meanwhile, change), {**meanwhile, "mine": mine})


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ({"a": 1}, {"a": 1.0}, {"a": [1.0]}),
        ({"a": 1}, {"a": True}, {"a": [True]}),
        ({"a": 1, "b": 2}, {"b": 2}, {"a": None}),
        ({"a": 1}, {"a": None}, {"a": [None]}),
        ({}, {"a": {"b": {"c": 1}}}, {"a": {"b": {"c": [1]}}}),
        ({}, {"a": {}}, {"a": [{}]}),
        ({"a": [1]}, {"a": [1, 2]}, {"a": [[1, 2]]}),
        ({"a": 1}, [], [[]]),
        ({"a": 1}, None, []),
        (None, {}, [{}]),
        ({"a": 1, "b": [{"c": 1, "d": 2}]}, {"b": [{"d": 2, "c": 1}], "a": 1}, None),
    ],
)
def test_a_difference_names_leaves_and_nothing_else(before: Any, after: Any, change: Any) -> None:
    assert difference(before, after) == change


@pytest.mark.django_db
def test_two_who_each_add_to_an_object_that_was_not_there_both_stay() -> None:
    mine = difference({}, {"notifications": {"email": {"mentions": True}}})
    theirs = difference({}, {"notifications": {"sms": {"security": False}}})
    assert applied(applied({}, mine), theirs) == {
        "notifications": {"email": {"mentions": True}, "sms": {"security": False}}
    }


@pytest.mark.django_db
def test_a_document_deeper_than_the_database_recurses_is_set_as_a_whole() -> None:
    deep: Any = 1
    for _ in range(800):
        deep = {"a": deep}
    change = difference({}, deep)
    assert applied({}, change) == deep

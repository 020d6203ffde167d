"""The codec: what is refused on the way in, what cannot be read on the way out, and the words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefs import codec
from prefs.codec import InvalidDocument, UndecodableDocument, UnprintableDocument
from prefs.mapping import LEAVES

_ANY_TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
_SCALARS = st.none() | st.booleans() | st.integers() | _ANY_TEXT
_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
DOCUMENTS = st.recursive(
    _SCALARS | _FLOATS,
    lambda below: st.lists(below) | st.dictionaries(_ANY_TEXT, below),
    max_leaves=20,
)


def nested(depth: int) -> list[Any]:
    document: list[Any] = []
    for _ in range(depth - 1):
        document = [document]
    return document


def circle() -> dict[str, Any]:
    document: dict[str, Any] = {}
    document["again"] = [document, document]
    return document


@given(DOCUMENTS)
def test_what_is_encoded_decodes_to_the_same_document(document: Any) -> None:
    text = codec.encode(7, document)
    assert codec.decode(7, text) == document
    assert codec.encode(7, codec.decode(7, text)) == text


def depth(document: Any) -> int:
    if not isinstance(document, dict | list):
        return 0
    below = document.values() if isinstance(document, dict) else document
    return 1 + max(map(depth, below), default=0)


@given(DOCUMENTS, st.integers(0, 4))
def test_a_document_is_refused_where_it_is_deeper_than_its_bound(document: Any, bound: int) -> None:
    if depth(document) <= bound:
        assert codec.encode(7, document, max_depth=bound) == codec.encode(7, document)
        return
    with pytest.raises(InvalidDocument) as raised:
        codec.encode(7, document, max_depth=bound)
    expected = f"nested more than {bound} deep; expected at most {bound}"
    assert raised.value.errors == {"": expected}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"x": float("nan")}, "Out of range float values are not JSON compliant"),
        ([float("inf")], "Out of range float values are not JSON compliant"),
        (float("-inf"), "Out of range float values are not JSON compliant"),
        ("a\x00b", "'a\\x00b' holds a character that jsonb cannot store"),
        ({"x": [{"\x00": 1}]}, "'\\x00' holds a character that jsonb cannot store"),
        (["\ud800"], "'\\ud800' holds a character that jsonb cannot store"),
        ({"\udfff": 1}, "'\\udfff' holds a character that jsonb cannot store"),
        ("\ud83d\ude00", "'\\ud83d\\ude00' holds a character that jsonb cannot store"),
        (["\x00" * 500], repr("\x00" * 80)),
        ({1: "x"}, "the key 1 is not a string; JSON has no other keys"),
        ({"x": {None: 1}}, "the key None is not a string; JSON has no other keys"),
        ([{True: 1}], "the key True is not a string; JSON has no other keys"),
        ([{1.5: 1}], "the key 1.5 is not a string; JSON has no other keys"),
        ({("a", "b"): 1}, "keys must be str"),
        ({"x": object()}, "not JSON serializable"),
        ({"x": {1, 2}}, "not JSON serializable"),
        (b"{}", "not JSON serializable"),
        ({"x": 10**5000}, "4300 digits"),
        (nested(200_000), "nested too deeply for Python to encode"),
        (circle(), "Circular reference detected"),
    ],
)
def test_what_json_or_jsonb_cannot_hold_is_refused(document: Any, message: str) -> None:
    with pytest.raises(InvalidDocument) as raised:
        codec.encode(7, document)
    assert list(raised.value.errors) == [""]
    assert message in raised.value.errors[""]
    assert str(raised.value).startswith("The preferences of user 7 were not changed. document: ")
    assert raised.value.user_id == 7


def test_a_patch_is_at_most_a_hundred_deep() -> None:
    limit = codec.MAX_PATCH_DEPTH
    assert limit == 100
    assert codec.encode(7, nested(limit), max_depth=limit) == "[" * limit + "]" * limit
    with pytest.raises(InvalidDocument, match="nested more than 100 deep; expected at most 100"):
        codec.encode(7, nested(limit + 1), max_depth=limit)


def test_text_is_sent_as_it_is_and_not_as_escapes() -> None:
    assert (
        codec.encode(7, {"x": "\u00e9\U0001f600\u2028\n"}) == '{"x": "\u00e9\U0001f600\u2028\\n"}'
    )


@pytest.mark.parametrize("text", [None, "null"])
def test_sql_null_and_json_null_read_as_none(text: str | None) -> None:
    assert codec.decode(7, text) is None


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000 + "]" * 200_000,
        '{"x": ' + "9" * 4301 + "}",
        # Finite in jsonb, but Python would read infinity, which it could not put back.
        '{"x": 1' + "0" * 400 + ".5}",
    ],
    ids=["too deep", "too many digits", "too large for a float"],
)
def test_what_python_cannot_decode_names_the_user_and_the_way_to_the_text(text: str) -> None:
    with pytest.raises(UndecodableDocument) as raised:
        codec.decode("ada", text)
    message = str(raised.value)
    assert message.startswith("The document of user ada is stored whole, but Python cannot decode")
    assert message.endswith("UserPreferences.objects.document_text('ada') returns its JSON text.")
    assert len(message) < 500


def test_what_postgresql_cannot_print_names_the_user() -> None:
    assert "user 7 is stored whole, but its text is longer" in str(UnprintableDocument(7))


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.dotted)
def test_only_a_string_that_no_zone_has_is_an_unknown_leaf(leaf: Any) -> None:
    def at(value: object) -> object:
        for name in reversed(leaf.path):
            value = {name: value}
        return value

    tested = leaf.dotted == "timezone"
    assert codec.unknown_leaves(at("Mars/Base")) == ([leaf.dotted] if tested else [])
    for value in ("UTC", 5, None, ["Mars/Base"], {"x": "Mars/Base"}):
        assert codec.unknown_leaves(at(value)) == []


@pytest.mark.parametrize("document", [None, 5, "timezone", [], ["timezone"], {}, {"x": 1}])
def test_a_document_without_leaves_has_no_unknown_ones(document: Any) -> None:
    assert codec.unknown_leaves(document) == []


def test_refusals_name_every_leaf_with_its_value_and_what_was_expected() -> None:
    refused = [
        {"leaf": "theme", "value": '"purple"', "expected": "one of them"},
        {"leaf": "", "value": "[1.00]", "expected": "an object"},
        {"leaf": "x", "value": '"' + "\u00e9" * 100 + '"', "expected": "short"},
    ]
    error = codec.refusals(7, json.dumps(refused))
    assert error.errors == {
        "theme": '"purple" is not one of them',
        "": "[1.00] is not an object",
        "x": '"' + "\u00e9" * 79 + "\u2026 is not short",
    }
    assert str(error).startswith(
        'The preferences of user 7 were not changed. theme: "purple" is not one of them;'
        " document: [1.00] is not an object; x: "
    )


@pytest.mark.parametrize("value", ["[" * 200_000 + "]" * 200_000, "9" * 5000], ids=["deep", "long"])
def test_a_refused_value_that_python_cannot_decode_is_named_like_any_other(value: str) -> None:
    entry = {"leaf": "theme", "value": value, "expected": "a theme"}
    assert codec.refusals(7, json.dumps([entry])).errors == {
        "theme": f"{value[:80]}\u2026 is not a theme"
    }

"""Bodies that are odd, or worse: refused with a reason and nothing stored, or stored as they came.

A write is never answered with 500, and what it answers is what PostgreSQL prints of the body.
"""

from __future__ import annotations

import json

import pytest
from django.db import DataError, OperationalError, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.prefs.api.asking import Asking, asking_as
from tests.support import stores, strategies
from tests.support.places import EnterRoute
from tests.support.stores import Place

pytestmark = pytest.mark.django_db

REFUSED: dict[str, tuple[bytes, str]] = {
    "a key twice": (b'{"a": 1, "a": 1}', "twice"),
    "a key twice, escaped": (b'{"a": 1, "\\u0061": 2}', "twice"),
    "a key twice, deep": (b'{"x": [{"y": {"": 1, "": 2}}]}', "twice"),
    "NUL": (b'{"x": "a\\u0000b"}', "jsonb"),
    "NUL in a key": (b'{"a\\u0000b": 1}', "jsonb"),
    "NUL, raw": (b'{"x": "a\0b"}', "control character"),
    "half a pair": (b'{"x": "\\ud800"}', "jsonb"),
    "half a pair in a key": (b'{"\\udc00": 1}', "jsonb"),
    "a pair the wrong way round": (b'{"x": "\\udc00\\ud800"}', "jsonb"),
    "half a pair in UTF-8": (b'{"x": "\xed\xa0\x80"}', "UTF-8"),
    "NaN": (b'{"x": NaN}', "NaN"),
    "Infinity": (b'{"x": [Infinity]}', "Infinity"),
    "minus Infinity": (b'{"x": -Infinity}', "-Infinity"),
    "latin-1": ('{"x": "é"}'.encode("latin-1"), "UTF-8"),
    "UTF-16": ('{"x": "é"}'.encode("utf-16"), "UTF-8"),
    "UTF-16 without a mark": (b"{\x00}\x00", "JSON"),
    "UTF-32": (b'{"x": 1}'.decode().encode("utf-32-be"), "JSON"),
    "an overlong sequence": (b'{"x": "\xc0\xaf"}', "UTF-8"),
    "a byte order mark": (b'\xef\xbb\xbf{"x": 1}', "byte order mark"),
    "10,000 deep": (b'{"x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "deep"),
    "10,000 deep, objects": (b'{"x":' * 10_000 + b"1" + b"}" * 10_000, "deep"),
    "10,000 deep, unfinished": (b"[" * 10_000, "deep"),
    "empty": (b"", "empty"),
    "blank": (b" \r\n\t", "empty"),
    "an array": (b'[{"theme": "dark"}]', "object"),
    "a string": (b'"dark"', "object"),
    "a number of 40 digits": (b"1" * 40, "object"),
    "two documents": (b"{} {}", "JSON"),
    "a comment": (b'{"x": 1 /* y */}', "JSON"),
    "single quotes": (b"{'x': 1}", "JSON"),
    "a trailing comma": (b'{"x": 1,}', "JSON"),
    "unfinished": (b'{"x": "', "JSON"),
    "a leading zero": (b'{"x": 01}', "JSON"),
    "a point alone": (b'{"x": 1.}', "JSON"),
    "hexadecimal": (b'{"x": 0x1}', "JSON"),
    "digits of another script": ('{"x": \u0661}'.encode(), "JSON"),
    "a space of another kind": ('{\u00a0"x": 1}'.encode(), "JSON"),
    "an escape that is none": (b'{"x": "\\x41"}', "JSON"),
    "a number that jsonb has no room for": (b'{"x": 1e200000}', "jsonb"),
    "a form": (b"theme=dark", "JSON"),
}
KEPT = {
    "1e2": '{"x": 1e2}',
    "40 digits": '{"x": ' + "1234567890" * 4 + "}",
    "400 digits behind the point": '{"x": 0.' + "1234567890" * 40 + "}",
    "zeros behind the point": '{"x": [1.0, 1.00, 10.10, -0, -0.0]}',
    "larger than a float": '{"x": [1e400, -1E+400, 1e-400]}',
    "escapes": '{"x": "\\u00e9\\ud83d\\ude00\\/\\"\\\\\\b\\n", "\\u0001": "\\u001f"}',
    "an escape that only looks like NUL": '{"x": "\\\\u0000"}',
    "keys out of order": '{"zz": 1, "a": 2, "b": {"y": 1, "x": 2}}',
    "brackets in strings": '{"x": "' + "[{" * 1000 + '", "y\\"[": 1}',
    "400 deep": '{"x": ' + "[" * 400 + "]" * 400 + "}",
    "many small arrays": '{"x": [' + ", ".join(["[]"] * 2000) + "]}",
    "spaces": ' \r\n\t{ "x" :\t1 } ',
    "an empty key": '{"": {"": null}}',
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_document_is_refused_with_its_reason(asking: Asking, name: str) -> None:
    body, reason = REFUSED[name]
    before = stores.versions(asking.user)
    for answer in (asking.put(body), asking.patch(body)):
        assert answer.status_code == 400
        assert reason in answer.json()["detail"]
        assert len(answer.content) < 1000
    assert stores.versions(asking.user) == before


def test_a_body_of_10_mb_is_refused(asking: Asking) -> None:
    body = b'{"x": "' + b"y" * 10_000_000 + b'"}'
    assert asking.put(body).status_code == asking.patch(body).status_code == 413


@pytest.mark.parametrize("name", KEPT)
def test_what_is_let_in_is_stored_as_it_came(asking: Asking, name: str) -> None:
    answer = asking.put(KEPT[name])
    assert answer.status_code == 200
    assert answer.text == stores.as_jsonb(KEPT[name]) == asking.get().text


def test_a_patch_is_at_most_100_deep(asking: Asking) -> None:
    deep = {depth: '{"x":' * depth + "1" + "}" * depth for depth in (100, 101)}
    assert asking.patch(deep[101]).status_code == 400
    assert asking.patch(deep[100]).text == stores.as_jsonb('{"theme": "light", ' + deep[100][1:])


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Documents of every kind, some of them spoiled in one place."""
    text = strategies.compose(draw(st.binary(max_size=strategies.BYTES))) or "null"
    body = text.encode("utf-8", "surrogatepass")
    spoil = draw(st.sampled_from((*range(4), *_SPOILS)))
    if callable(spoil):
        at = draw(st.integers(0, len(body)))
        body = spoil(body, at)
    return body


_SPOILS = (
    lambda body, at: body[:at] + b"\\u0000" + body[at:],
    lambda body, at: body[:at] + b"\\ud800" + body[at:],
    lambda body, at: body[:at] + b"\xff" + body[at:],
    lambda body, at: body[:at] + b"NaN" + body[at:],
    lambda body, at: body[:at],
    lambda body, at: body[at:],
    lambda body, at: body[:at] + body[at + 1 :],
    lambda body, at: body + body,
    lambda body, at: body.replace(b"}", b',"theme":1,"theme":1}'),
    lambda body, at: body.decode("utf-8", "replace").encode("utf-16"),
    lambda body, at: body.replace(b"1", b"1e400"),
    lambda body, at: b"\xef\xbb\xbf" + body,
)


def printed(body: bytes) -> str | None:
    """What PostgreSQL prints of a body; None where it is no jsonb."""
    try:
        text = body.decode()
        with transaction.atomic():
            return None if "\0" in text else stores.as_jsonb(text)
    except (UnicodeDecodeError, DataError, OperationalError):
        return None


@pytest.mark.slow
def test_no_body_is_an_error_of_the_server(in_route: EnterRoute, place: Place) -> None:
    user = stores.insert_user(place, '{"theme": "light"}')
    asking = asking_as(user)
    seen: set[int] = set()

    @settings(max_examples=150, deadline=None, database=None, derandomize=True)
    @given(bodies())
    def each(body: bytes) -> None:
        before = asking.get().text
        for send in (asking.put, asking.patch):
            answer = send(body)
            seen.add(answer.status_code)
            assert answer.status_code in {200, 400, 413}
            after = asking.get().text
            if answer.status_code != 200:
                assert after == before
                continue
            assert answer.text == after
            if send == asking.put:
                assert after == printed(body)
            before = after

    each()
    assert {200, 400} <= seen


def test_what_python_would_round_is_what_these_bodies_find() -> None:
    """They would notice an API that decodes: it stores other numbers, and the last of two keys."""
    kept = [json.dumps(json.loads(text)) != stores.as_jsonb(text) for text in KEPT.values()]
    assert sum(kept) >= 5
    assert json.loads(REFUSED["a key twice"][0]) == {"a": 1}

"""If-Match and If-None-Match: which versions a client names, compared under the user's lock."""

from __future__ import annotations

from typing import Any

import pytest

from prefs.models import UserPreferences
from tests.prefs.api.asking import Asking, etag
from tests.support import stores

pytestmark = pytest.mark.django_db

LIGHT = etag('{"theme": "light"}')
OTHER = etag("{}")
MATCHING = [LIGHT, f"{OTHER}, {LIGHT}", f"{OTHER},{LIGHT},", f' ,, "a,b" ,\t{LIGHT}', "*", " * "]
OTHERS = [OTHER, f"{OTHER}, {OTHER}", f"W/{LIGHT}", f'W/{LIGHT}, "x"', '""', '"*"']
MALFORMED = [
    *("", " ", ",", "abc", LIGHT.strip('"'), '"abc', "*, *", f"{LIGHT} {OTHER}", "'x'"),
    *(f"w/{LIGHT}", f"W/ {LIGHT}", f"*, {LIGHT}", f"{LIGHT}, x", '"a b"', '"a"b"', "W/*"),
]


@pytest.mark.parametrize("value", MATCHING)
def test_a_write_whose_if_match_names_what_is_stored_is_done(asking: Asking, value: str) -> None:
    assert asking.get(if_match=value).status_code == 200
    assert asking.patch('{"x": 1}', if_match=value).status_code == 200
    assert asking.get().json() == {"theme": "light", "x": 1}


@pytest.mark.parametrize("value", MATCHING)
def test_a_replacement_whose_if_match_names_what_is_stored_is_done(
    asking: Asking, value: str
) -> None:
    answer = asking.put('{"x": 1}', if_match=value)
    assert (answer.status_code, answer["ETag"]) == (200, etag('{"x": 1}'))


@pytest.mark.parametrize("value", OTHERS)
def test_one_that_names_another_is_412_with_the_current_etag(asking: Asking, value: str) -> None:
    before = stores.versions(asking.user)
    for answer in (
        asking.patch('{"x": 1}', if_match=value),
        asking.put('{"x": 1}', if_match=value),
        asking.get(if_match=value),
        asking.head(if_match=value),
    ):
        assert answer.status_code == 412
        assert answer["ETag"] == LIGHT
    assert stores.versions(asking.user) == before


@pytest.mark.parametrize("value", MALFORMED)
def test_a_malformed_one_is_an_error_and_not_none_at_all(asking: Asking, value: str) -> None:
    for name in ("if_match", "if_none_match"):
        for answer in (
            asking.patch('{"x": 1}', **{name: value}),
            asking.put('{"x": 1}', **{name: value}),
            asking.get(**{name: value}),
        ):
            assert answer.status_code == 400
            assert name.replace("_", "-") in answer.json()["detail"].lower()
    assert asking.get().text == '{"theme": "light"}'


@pytest.mark.parametrize("value", [*MATCHING, f"W/{LIGHT}", f'"x", W/{LIGHT}'])
def test_a_reader_who_has_it_is_told_so_by_304(asking: Asking, value: str) -> None:
    """By weak comparison: what was compressed on its way has a weak ETag."""
    for answer in (asking.get(if_none_match=value), asking.head(if_none_match=value)):
        assert answer.status_code == 304
        assert answer.content == b""
        assert answer["ETag"] == LIGHT
        assert answer["Cache-Control"] == "private, no-cache"
        assert "Content-Type" not in answer or answer["Content-Type"]


@pytest.mark.parametrize("value", [OTHER, f"W/{OTHER}", '"x", "y"'])
def test_a_reader_who_has_another_gets_this(asking: Asking, value: str) -> None:
    assert asking.get(if_none_match=value).status_code == 200


def test_a_write_with_if_none_match_is_refused_and_not_done(asking: Asking) -> None:
    for value in ("*", LIGHT, OTHER):
        assert asking.patch('{"x": 1}', if_none_match=value).status_code == 400
        assert asking.put('{"x": 1}', if_none_match=value).status_code == 400
    assert asking.get().text == '{"theme": "light"}'


def test_a_site_may_require_if_match(asking: Asking, settings: Any) -> None:
    settings.PREFS_API_REQUIRE_IF_MATCH = True
    for answer in (asking.patch('{"x": 1}'), asking.put('{"x": 1}')):
        assert answer.status_code == 428
        assert "ETag" in answer.json()["detail"]
    assert asking.get().text == '{"theme": "light"}'
    assert asking.patch('{"x": 1}', if_match=LIGHT).status_code == 200
    assert asking.put('{"x": 1}', if_match="*").status_code == 200


def test_what_a_write_answers_is_the_etag_of_the_next(asking: Asking) -> None:
    tag = asking.get()["ETag"]
    for number in range(5):
        tag = asking.patch(f'{{"n": {number}.0}}', if_match=tag)["ETag"]
    assert asking.get()["ETag"] == tag
    text = UserPreferences.objects.document_text(asking.user)
    assert tag == etag(text)

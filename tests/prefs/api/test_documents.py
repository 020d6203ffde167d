"""A user's document over HTTP: as it is stored, in each state."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from prefs.models import UserPreferences
from prefs.routing import DUAL_WRITE
from tests.prefs.api.asking import JSON, PATCH, Asking, asking_as, checked, etag, path
from tests.support import stores
from tests.support.places import EnterRoute
from tests.support.stores import Place
from tests.support.tampering import remove_switches

pytestmark = pytest.mark.django_db

ODD = [
    None,
    "null",
    "[]",
    '"theme"',
    "5",
    "{}",
    '{"theme": null, "beta": [1.00, 1E+2, 0.10, -0]}',
    '{"notifications": [], "items_per_page": 10.0}',
    '{"n": ' + "7" * 5000 + "}",
    '{"deep": ' + "[" * 2000 + "]" * 2000 + "}",
    '{"\\u00e9": "\\ud83d\\ude00", "b": 1, "a": 2}',
]


@pytest.mark.parametrize("text", ODD, ids=lambda text: str(text)[:30])
def test_what_is_stored_is_served_as_it_is(place: Place, text: str | None) -> None:
    user = stores.insert_user(place, text)
    answer = asking_as(user).get()
    expected = "null" if text is None else stores.as_jsonb(text)
    assert answer.status_code == 200
    assert answer.text == expected
    assert answer["ETag"] == etag(expected)
    assert answer["Content-Type"] == JSON


@pytest.mark.parametrize("text", ODD, ids=lambda text: str(text)[:30])
def test_what_was_read_can_be_put_back(place: Place, text: str | None) -> None:
    """But for what is nested deeper than the API lets in."""
    user = stores.insert_user(place, text)
    asking = asking_as(user)
    before, versions = asking.get(), stores.versions(user)
    answer = asking.put(before.content, if_match=before["ETag"])
    if text is not None and "[[[" in text:
        assert answer.status_code == 400
    else:
        assert (answer.status_code, answer.text) == (200, before.text)
    assert stores.versions(user) == versions
    assert stores.primary_text(place, user) == stores.as_jsonb(text)


def test_a_put_replaces_and_a_patch_merges(asking: Asking, place: Place) -> None:
    body = '{"z": 1e2, "theme": "dark", "n": ' + "1234567890" * 4 + ".10}"
    answer = asking.put(body)
    assert answer.status_code == 200
    assert answer.text == stores.as_jsonb(body) == asking.get().text
    answer = asking.patch('{"theme": null, "z": {"a": 1.0}}')
    assert answer.text == '{"n": ' + "1234567890" * 4 + '.10, "z": {"a": 1.0}}'
    assert stores.primary_text(place, asking.user) == answer.text
    assert not place.route.mirrored or not stores.differ(asking.user)


def test_head_has_the_length_of_get_and_no_body(asking: Asking) -> None:
    get, head = asking.get(), asking.head()
    assert head.content == b""
    for name in ("Content-Length", "ETag", "Content-Type", "Cache-Control", "Vary"):
        assert head[name] == get[name]


def test_a_user_can_be_named_by_key(asking: Asking) -> None:
    assert asking.get(asking.user).text == asking.get().text


@pytest.mark.parametrize("key", ["0{}", "+{}", " {}", "{} ", "{}.0", "{}/", "{}%0A"])
def test_no_other_spelling_of_a_key_names_the_user(asking: Asking, key: str) -> None:
    staff = asking_as(asking.user, "view_documents", staff=True)
    for each in (asking, staff):
        answer = each.get(key.format(each.user))
        assert answer.status_code in {403, 404}


def test_every_setting_that_is_wrong_is_named_with_what_was_expected(asking: Asking) -> None:
    body = {
        "theme": "mauve",
        "timezone": "Mars/Olympus",
        "notifications": {"email": {"digest": "hourly"}, "push": 5},
        "kept": {"theme": "mauve"},
    }
    for answer in (asking.put(json.dumps(body)), asking.patch(json.dumps(body))):
        assert answer.status_code == 400
        errors = {error["pointer"]: error for error in answer.json()["errors"]}
        assert errors.keys() == {
            "/theme",
            "/timezone",
            "/notifications/email/digest",
            "/notifications/push",
        }
        assert errors["/theme"] == {
            "pointer": "/theme",
            "detail": '"mauve" is not one of "light", "dark", "system"',
            "expected": 'one of "light", "dark", "system"',
        }
        assert errors["/notifications/push"]["expected"] == "an object"
    assert asking.get().text == '{"theme": "light"}'


@pytest.mark.parametrize("body", ["null", "[]", "5", '"x"', "true", '[{"theme": "dark"}]'])
def test_what_is_no_object_is_not_let_in(asking: Asking, body: str) -> None:
    for answer in (asking.put(body), asking.patch(body)):
        assert answer.status_code == 400
        assert "object" in answer.json()["detail"]
    assert asking.get().text == '{"theme": "light"}'


def test_a_patch_that_is_no_object_is_refused_where_it_is_what_is_stored(place: Place) -> None:
    asking = asking_as(stores.insert_user(place, "[]"))
    assert asking.patch("[]").status_code == 400
    assert asking.put(" [ ] ").text == "[]"
    assert asking.put("[]", if_match='"another"').status_code == 412
    assert asking.put("[1]", if_match="*").status_code == 400


def test_sql_null_stays_when_null_is_put_back(place: Place) -> None:
    user = stores.insert_user(place, None)
    assert asking_as(user).put("null").text == "null"
    assert stores.primary_text(place, user) is None


@pytest.mark.parametrize("method", ["get", "put", "patch"])
def test_a_missing_switch_is_said_with_its_repair(asking: Asking, method: str) -> None:
    remove_switches(DUAL_WRITE)
    answer = asking.get() if method == "get" else getattr(asking, method)("{}")
    assert answer.status_code == 503
    assert "status_prefs" in answer.json()["detail"]


@pytest.mark.slow
def test_a_document_whose_text_cannot_be_built_is_507(in_route: EnterRoute) -> None:
    place = in_route(Place.TABLES)
    huge = '{"n": [' + ", ".join(["1e131000"] * 8200) + "]}"
    asking = asking_as(stores.insert_user(place, huge))
    assert asking.get().status_code == 507
    assert asking.patch('{"theme": "dark"}', if_match='"x"').status_code == 507


def test_a_document_that_would_grow_too_long_is_413(asking: Asking) -> None:
    answer = asking.put('{"x": "' + "y" * 1_100_000 + '"}')
    assert answer.status_code == 413
    assert "1048576" in answer.json()["detail"]
    assert asking.put('{"x": [' + "1e131000, " * 9 + "0]}").status_code == 413
    assert asking.get().text == '{"theme": "light"}'


def test_a_body_longer_than_the_site_takes_is_413(asking: Asking) -> None:
    for ask in (asking.put, asking.patch):
        answer = ask(b" " * 10_000_000 + b"{}")
        assert answer.status_code == 413
    assert asking.get().text == '{"theme": "light"}'


def test_options_say_what_can_be_asked(client: Client) -> None:
    answer = client.options(path())
    assert answer.status_code == 204
    assert answer["Allow"] == "GET, HEAD, OPTIONS, PATCH, PUT"
    assert answer["Accept-Patch"] == PATCH


@pytest.mark.parametrize("method", ["post", "delete", "trace"])
def test_other_methods_are_405_with_those_there_are(asking: Asking, method: str) -> None:
    answer = checked(getattr(asking.client, method)(path()))
    assert answer.status_code == 405
    assert answer["Allow"] == "GET, HEAD, OPTIONS, PATCH, PUT"


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 200),
        ("application/*", 200),
        ("text/html, application/json;q=0.1", 200),
        ("text/html", 406),
        ("application/json;q=0", 406),
        ("application/problem+json", 406),
        ("application/json;q*=klingon''1", 400),
        ("*/*;q*=undefined''%ff, application/json", 400),
        ("a;b*0*=x''y", 400),
    ],
)
def test_who_does_not_accept_json_is_told_so_before_anything_is_written(
    asking: Asking, accept: str, status: int
) -> None:
    assert asking.get(accept=accept).status_code == status
    assert asking.put('{"theme": "dark"}', accept=accept).status_code == status
    assert asking.get().json() == {"theme": "dark" if status == 200 else "light"}


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", ""],
)
def test_other_content_types_are_415(asking: Asking, content_type: str) -> None:
    put = asking.put('{"theme": "dark"}', content_type=content_type)
    patch = asking.patch('{"theme": "dark"}', content_type=content_type)
    assert (put.status_code, patch.status_code) == (415, 415)
    assert patch["Accept-Patch"] == PATCH
    assert asking.patch("{}", content_type=JSON).status_code == 415
    assert asking.put("{}", content_type=PATCH).status_code == 415
    assert asking.put("{}", content_encoding="gzip").status_code == 415
    assert asking.get().text == '{"theme": "light"}'


@pytest.mark.parametrize("content_type", [JSON, f"{JSON}; charset=utf-8", "Application/JSON"])
def test_a_content_type_may_name_utf_8(asking: Asking, content_type: str) -> None:
    assert asking.put('{"é": 1}'.encode(), content_type=content_type).text == '{"é": 1}'


def test_what_is_stored_is_what_the_manager_says(asking: Asking) -> None:
    asking.patch('{"x": 1}')
    assert UserPreferences.objects.document_text(asking.user) == asking.get().text

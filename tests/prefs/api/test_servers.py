"""The API behind real web servers, by WSGI and by ASGI, on a site that compresses its answers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from psycopg import IsolationLevel

from prefs.models import UserPreferences
from tests.prefs.api.asking import PROBLEM, asking_as, etag
from tests.prefs.api.calling import Calling, at_once, count_up
from tests.prefs.api.serving import served
from tests.support import stores
from tests.support.reaching import reached
from tests.support.stores import Place

LONG = json.dumps({"x": "y" * 5000, "n": 0})
PATCHES, WORKERS = 200, 4


@pytest.fixture(params=["gunicorn", "uvicorn"])
def calling(site: str, request: pytest.FixtureRequest) -> Iterator[Calling]:
    """A user of each kind of server."""
    with served(site, request.param) as address:
        yield Calling(address, asking_as(stores.insert_user(Place.BLOB, LONG)))


def test_a_document_goes_out_as_it_is_and_comes_in_as_it_was_sent(calling: Calling) -> None:
    text = stores.as_jsonb(LONG)
    assert text is not None
    read = calling.get(accept_encoding="gzip, br")
    assert (read.status, read.body.decode()) == (200, text)
    assert read.headers["ETag"] == etag(text)
    assert read.headers["Content-Encoding"] is None
    head = calling.send("HEAD", accept_encoding="gzip")
    assert (head.status, head.body) == (200, b"")
    for name in ("Content-Length", "Content-Type", "ETag", "Cache-Control"):
        assert head.headers[name] == read.headers[name]
    assert "Cookie" in read.headers["Vary"]
    known = calling.get(if_none_match=read.headers["ETag"])
    assert (known.status, known.body, known.headers["ETag"]) == (304, b"", etag(text))
    body = '{"é": 1e2, "n": ' + "1234567890" * 4 + ".50}"
    stored = calling.put(body, if_match=read.headers["ETag"], accept_encoding="gzip")
    assert (stored.status, stored.body.decode()) == (200, stores.as_jsonb(body))
    assert calling.patch('{"n": null}').body.decode() == '{"é": 100}'


def test_refusals_come_over_the_wire_too(calling: Calling) -> None:
    for answer, status in (
        (calling.patch("{"), 400),
        (calling.patch(b'{"x": "\xff"}'), 400),
        (calling.patch("{}", if_match='"x"'), 412),
        (calling.patch("{}", x_csrftoken="z" * 32), 403),
        (calling.patch(b"{" + b" " * 10_000_000 + b"}"), 413),
        (calling.put("{}", accept="text/html"), 406),
        (calling.send("PUT", "{}", content_type="text/plain"), 415),
        (calling.send("DELETE"), 405),
        (calling.get(cookie="sessionid=none"), 401),
        (calling.get(if_match="abc"), 400),
    ):
        assert answer.status == status
        assert answer.headers["Content-Type"] == PROBLEM
        assert json.loads(answer.body)["status"] == status
    options = calling.send("OPTIONS")
    assert (options.status, options.body) == (204, b"")
    assert options.headers["Accept-Patch"] == "application/merge-patch+json"
    assert calling.get().body.decode() == stores.as_jsonb(LONG)


@pytest.mark.parametrize("level", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_a_write_at_another_isolation_level_is_told_as_what_it_is(
    site: str, level: IsolationLevel
) -> None:
    asking = asking_as(stores.insert_user(Place.BLOB, "{}"))
    with reached(OPTIONS={"isolation_level": level}):
        assert asking.get().status_code == 200
        for answer in (asking.patch('{"x": 1}'), asking.put('{"x": 1}', if_match="*")):
            assert answer.status_code == 503
            assert level.name.replace("_", " ") in answer.json()["detail"]
        assert asking.get().text == "{}"


def counted(address: str, place: Place, patches: int) -> tuple[int, int]:
    """What clients who count up in turn come to, and how often one was refused."""
    stores.enter(place)
    user = stores.insert_user(place, '{"n": 0}')
    calling = Calling(address, asking_as(user))
    refused = at_once(lambda: count_up(calling), patches, WORKERS)
    assert not place.route.mirrored or not stores.differ(user)
    return UserPreferences.objects.document(user)["n"], refused


def test_two_hundred_patches_at_once_lose_nothing(site: str) -> None:
    """One server through all states: it learns of each flip by itself."""
    with served(site, workers=WORKERS) as address:
        for place in Place:
            number, refused = counted(address, place, PATCHES // 5)
            assert number == PATCHES // 5
            assert refused > 0


def test_that_check_notices_an_etag_that_is_compared_before_the_lock(site: str) -> None:
    with served(site, workers=WORKERS, wsgi="tests.prefs.api.broken:application") as address:
        number, _ = counted(address, Place.TABLES_MIRRORED, PATCHES)
    assert number < PATCHES

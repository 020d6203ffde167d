"""With ATOMIC_REQUESTS a request is a transaction, and its writes end as the request does."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from prefs.models import UserPreferences
from tests.support import scratch, stores
from tests.support.reaching import environment
from tests.support.stores import Place

BEFORE = {"theme": "light"}
DARK = {"theme": "dark"}


@pytest.fixture
def server(site: str) -> Iterator[str]:
    """The address of a web server of the site, in a process, whose requests are atomic."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.prefs.callers.serving"],
        cwd=scratch.ROOT,
        env=environment(site, {"ATOMIC_REQUESTS": True}),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def post(address: str, *patches: tuple[int, dict[str, Any]], then: str = "") -> int:
    """Send the merges in one request; the status of its answer."""
    body = json.dumps({"patches": patches, "then": then}).encode()
    try:
        with urllib.request.urlopen(address, body, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def two_users(place: Place) -> tuple[int, int]:
    stores.enter(place)
    first, second = stores.insert_users(place, [json.dumps(BEFORE)] * 2)
    return first, second


def themes(*users: int) -> list[str]:
    documents = UserPreferences.objects.documents(users)
    return [documents[user]["theme"] for user in users]


def test_the_writes_of_a_request_end_as_it_does_in_every_route(site: str, server: str) -> None:
    """One process through all routes: it learns of each flip by itself."""
    for place in Place:
        users = two_users(place)
        first, second = ((user, DARK) for user in users)
        before = [stores.versions(user) for user in users]
        assert post(f"{server}/atomic/", first, second, then="fail") == 500
        assert post(f"{server}/atomic/", first, second, then="set rollback") == 200
        assert [stores.versions(user) for user in users] == before
        assert themes(*users) == ["light", "light"]
        assert post(f"{server}/atomic/", first, second) == 200
        assert themes(*users) == ["dark", "dark"]
        assert not place.route.mirrored or not any(map(stores.differ, users))


def test_a_view_that_answers_a_refusal_keeps_its_other_writes(site: str, server: str) -> None:
    for place in Place:
        first, second = two_users(place)
        patches = [(first, DARK), (second, {"theme": "mauve"}), (second, {"language": "de"})]
        assert post(f"{server}/atomic/", *patches) == 400
        assert themes(first, second) == ["dark", "light"]
        assert UserPreferences.objects.document(second)["language"] == "de"


def test_a_view_that_is_not_atomic_keeps_what_it_wrote_before_it_failed(
    site: str, server: str
) -> None:
    first, second = two_users(Place.TABLES_MIRRORED)
    assert post(f"{server}/plain/", (first, DARK), then="fail") == 500
    assert themes(first, second) == ["dark", "light"]
    assert not stores.differ(first)

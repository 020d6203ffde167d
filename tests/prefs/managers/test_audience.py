"""Who wants a message: the same answer in every route, streaming, from the partial index."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from prefs.mapping import TOPICS, UnknownTopic, topic
from prefs.models import NotificationPreferences
from prefs.routing import SWITCHES, MissingSwitch, Route
from prefs.sql import documents as sql
from tests.support import stores
from tests.support.places import EnterRoute
from tests.support.stores import Place
from tests.support.tampering import remove_switches, tamper, turn

pytestmark = pytest.mark.django_db

topics = pytest.mark.parametrize(("channel", "name"), TOPICS, ids=map("/".join, TOPICS))
# For a flag, and for the digest: who is in, and who is not.
WANTED = {"flag": ["true"], "digest": ['"daily"', '"weekly"']}
UNWANTED = {
    "flag": ["false", "null", "1", '"true"', "[true]", "{}"],
    "digest": ['"off"', '"hourly"', "true", "null", '["daily"]', '"Daily"'],
}
NOT_SET = ["{}", None, "null", "[]", '"daily"', '{"notifications": true}', '{"email": {}}']


def audience(channel: str, name: str) -> list[int]:
    """The whole audience."""
    return list(NotificationPreferences.objects.audience(channel, name))


@topics
def test_true_or_a_digest_other_than_off_is_in_and_all_else_is_out(
    place: Place, channel: str, name: str
) -> None:
    kind = "digest" if name == "digest" else "flag"
    wanted, unwanted = (
        [f'{{"notifications": {{"{channel}": {{"{name}": {value}}}}}}}' for value in values[kind]]
        for values in (WANTED, UNWANTED)
    )
    first = stores.insert_users(place, wanted)
    stores.insert_users(place, [*unwanted, *NOT_SET])
    last = stores.insert_users(place, wanted)
    assert audience(channel, name) == first + last


def test_a_user_without_typed_rows_is_out_where_the_tables_are_read(table_place: Place) -> None:
    user = stores.insert_user(table_place, '{"notifications": {"sms": {"security": true}}}')
    assert audience("sms", "security") == [user]
    stores.delete_rows(user)
    assert audience("sms", "security") == []


@pytest.fixture
def _pages_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefs.managers._AUDIENCE_PAGE", 3)


ON = '{"notifications": {"push": {"mentions": true}}}'
OFF = '{"notifications": {"push": {"mentions": false}}}'


@pytest.mark.usefixtures("_pages_of_three")
@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 6, 7])
def test_pages_come_one_after_the_other_in_key_order(place: Place, size: int) -> None:
    texts = list(itertools.islice(itertools.cycle([ON, OFF]), 2 * size))
    users = stores.insert_users(place, texts)
    assert audience("push", "mentions") == sorted(users[::2])


@pytest.mark.usefixtures("_pages_of_three")
def test_key_order_does_not_depend_on_how_rows_lie_or_are_found(place: Place) -> None:
    users = stores.insert_users(place, [ON] * 7)
    for user in reversed(users):
        # A new version of a row lies behind the others, and a sequential scan finds it there.
        stores.query("UPDATE accounts_user SET first_name = 'moved' WHERE id = %s", [user])
        stores.delete_rows(user)
        stores.fill_tables([user], [ON])
    for kind in ("indexscan", "indexonlyscan", "bitmapscan"):
        stores.query(f"SET LOCAL enable_{kind} = off")
    assert audience("push", "mentions") == sorted(users)


def test_more_users_than_one_page_of_the_real_size_come_once_each(place: Place) -> None:
    users = stores.insert_users(place, [ON] * 4_001)
    assert audience("push", "mentions") == sorted(users)


@pytest.mark.usefixtures("_pages_of_three")
def test_an_audience_streams(place: Place) -> None:
    users = stores.insert_users(place, [ON] * 7)
    with CaptureQueriesContext(connection) as captured:
        stream = NotificationPreferences.objects.audience("push", "mentions")
        assert isinstance(stream, Iterator)
        counts = [len(captured)]
        for user in sorted(users):
            assert next(stream) == user
            counts.append(len(captured))
    assert counts == [0, 1, 1, 1, 2, 2, 2, 3]


@pytest.mark.usefixtures("_pages_of_three")
def test_each_page_is_read_by_the_route_of_that_moment(in_route: EnterRoute) -> None:
    users = sorted(stores.insert_users(in_route(Place.BLOB_MIRRORED), [ON] * 7))
    stream = NotificationPreferences.objects.audience("push", "mentions")
    assert [next(stream) for _ in range(3)] == users[:3]
    turn(Route.TABLES_MIRRORED)
    turn(Route.TABLES)
    tamper("UPDATE accounts_user SET preferences = '{}'")
    assert list(stream) == users[3:]


def test_an_unknown_topic_lists_those_there_are_before_anything_is_read() -> None:
    listed = "email/digest, email/marketing, .* sms/security"
    with CaptureQueriesContext(connection) as captured:
        for channel, name in (("email", "mraketing"), ("fax", "security"), ("quiet_hours", "end")):
            with pytest.raises(UnknownTopic, match=f"{channel}/{name} is not .* {listed}"):
                NotificationPreferences.objects.audience(channel, name)
    assert len(captured) == 0


@pytest.mark.parametrize("missing", [SWITCHES[:1], SWITCHES[1:], SWITCHES], ids=" and ".join)
def test_a_missing_switch_stops_the_audience(place: Place, missing: tuple[str, ...]) -> None:
    stores.insert_user(place, ON)
    remove_switches(*missing)
    with pytest.raises(MissingSwitch, match=f"{' and '.join(missing)} is missing"):
        audience("push", "mentions")


def realistic_documents(count: int) -> list[str]:
    """Documents in which some set much and most set little, the same on every run."""
    chance = random.Random(1)
    documents = []
    for _ in range(count):
        notifications: dict[str, dict[str, Any]] = {}
        for channel, name in TOPICS:
            if chance.random() < 0.2:
                on = chance.choice(["daily", "off"] if name == "digest" else [True, False])
                notifications.setdefault(channel, {})[name] = on
        documents.append(json.dumps({"theme": "dark", "notifications": notifications}))
    return documents


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of a plan and all below it."""
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def scans(channel: str, name: str, after: int | None) -> set[tuple[str, str | None]]:
    """What a page of an audience scans besides the switches: (relation, index)."""
    statement = "EXPLAIN (ANALYZE, FORMAT JSON) " + sql.audience(topic(channel, name))
    [[[explained]]] = stores.query(statement, {"after": after, "limit": 2_000})
    return {
        (node["Relation Name"], node.get("Index Name"))
        for node in nodes(explained["Plan"])
        # A branch of the route that is not taken is in the plan, but never run.
        if node.get("Relation Name", "waffle_switch") != "waffle_switch" and node["Actual Loops"]
    }


@pytest.mark.slow
def test_after_the_drop_the_partial_index_serves_and_neither_table_is_scanned(
    in_route: EnterRoute,
) -> None:
    users = stores.insert_users(in_route(Place.DROPPED), realistic_documents(20_000))
    for table in ("accounts_user", "user_preferences", "notification_preferences"):
        stores.query(f"ANALYZE {table}")
    for (channel, name), leaf in TOPICS.items():
        for after in (None, users[5_000]):
            found = scans(channel, name, after)
            assert found == {("notification_preferences", f"prefs_{leaf.column}")}


def test_where_the_blob_is_read_the_typed_table_is_not(in_route: EnterRoute) -> None:
    stores.insert_users(in_route(Place.BLOB_MIRRORED), realistic_documents(200))
    assert {table for table, _ in scans("email", "digest", None)} == {"accounts_user"}

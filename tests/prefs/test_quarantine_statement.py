"""What is quarantined: mapped leaves that had to stay in the residue, and parents in their way."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection
from hypothesis import given

from prefs.engine import seeding
from prefs.engine.quarantine import Selection, counts, listed, quarantined
from prefs.mapping import LEAVES, inner_nodes
from prefs.sql import copying, expressions
from prefs.sql.quarantine import Reason
from tests.prefs.exactness import insert_users
from tests.support import reference
from tests.support.strategies import Batch, Text, batches, in_bulk

pytestmark = pytest.mark.django_db

EXPECTED = {leaf.dotted: leaf.domain.expected for leaf in LEAVES} | {
    node.dotted: "an object" for node in inner_nodes()
}


def copied(texts: Sequence[Text]) -> list[int]:
    """Users with these documents, who have their typed rows."""
    with connection.cursor() as cursor:
        ids = insert_users(cursor, texts)
        cursor.execute(copying.copy_missing(), {"after": ids[0] - 1, "upto": ids[-1]})
        return ids


def quarantine(texts: Sequence[Text]) -> list[list[tuple[str, list[str], str, str]]]:
    """For each document its entries: (leaf, path, value as text, expected), sorted."""
    ids = copied(texts)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT p.user_id, q.leaf, q.path, q.value::text, q.expected
            FROM user_preferences p, LATERAL ({expressions.quarantined("p.residue")}) q
            WHERE p.user_id = ANY(%s) ORDER BY p.user_id, q.leaf""",
            [ids],
        )
        found: dict[int, list[Any]] = {key: [] for key in ids}
        for key, *entry in cursor.fetchall():
            found[key].append(tuple(entry))
        return list(found.values())


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        (None, []),
        ("{}", []),
        ('{"x": 1, "notifications": {"x": 1, "email": {}, "sms": {"mentions": true}}}', []),
        ('{"theme": "dark", "notifications": {}}', []),
        ("null", [("", [], "null")]),
        ('["theme"]', [("", [], '["theme"]')]),
        ('{"theme": "purple"}', [("theme", ["theme"], '"purple"')]),
        ('{"theme": null}', [("theme", ["theme"], "null")]),
        ('{"theme": {}}', [("theme", ["theme"], "{}")]),
        ('{"items_per_page": 10.00}', [("items_per_page", ["items_per_page"], "10.00")]),
        ('{"notifications": []}', [("notifications", ["notifications"], "[]")]),
        ('{"notifications": null}', [("notifications", ["notifications"], "null")]),
        (
            '{"notifications": {"email": "off", "push": {"mentions": 1}}}',
            [
                ("notifications.email", ["notifications", "email"], '"off"'),
                ("notifications.push.mentions", ["notifications", "push", "mentions"], "1"),
            ],
        ),
        (
            '{"notifications": {"quiet_hours": {"start": "22:00", "end": "24:00"}}}',
            [("notifications.quiet_hours.end", ["notifications", "quiet_hours", "end"], '"24:00"')],
        ),
    ],
)
def test_what_is_quarantined_with_its_path_and_value(text: Text, entries: list[Any]) -> None:
    [found] = quarantine([text])
    assert found == [(*entry, EXPECTED[entry[0]]) for entry in entries]


@pytest.mark.slow
@in_bulk(80)
@given(batches(deepest=200))
def test_quarantine_is_what_a_second_opinion_says(batch: Batch) -> None:
    for text, found in zip(batch.before, quarantine(batch.before), strict=True):
        _, residue = reference.split(reference.parse(text))
        expected = dict(reference.quarantined(residue))
        assert {leaf: reference.parse(value) for leaf, _, value, _ in found} == expected, text
        assert all(".".join(path) == leaf for leaf, path, _, _ in found)
        assert all(expected == EXPECTED[leaf] for leaf, _, _, expected in found)


def test_counts_are_per_leaf_most_first() -> None:
    copied(['{"theme": 1}', '{"theme": 2, "language": 3}', "null", '{"theme": "dark"}'])
    assert list(quarantined("default").items()) == [("theme", 2), ("", 1), ("language", 1)]


TYPES: dict[str, type] = {"compact_mode": bool, "items_per_page": reference.Number} | {
    f"notifications.{name}": bool
    for name in (
        *("email.marketing", "email.product_updates", "email.security", "email.mentions"),
        *("push.mentions", "push.messages", "push.security", "sms.security"),
    )
}
CHANNELS = ("email", "push", "sms", "quiet_hours")
OBJECTS = ("", "notifications", *(f"notifications.{name}" for name in CHANNELS))


def reason(leaf: str, value: Any) -> str:
    """A second opinion on why it is in quarantine."""
    if leaf in OBJECTS:
        return "parent"
    if value is None:
        return "null"
    return "domain" if isinstance(value, TYPES.get(leaf, str)) else "type"


def in_python(texts: Sequence[Text]) -> Counter[tuple[str, str]]:
    """How many documents have what in quarantine, by leaf and reason."""
    found: Counter[tuple[str, str]] = Counter()
    for text in texts:
        _, residue = reference.split(reference.parse(text))
        found.update((leaf, reason(leaf, value)) for leaf, value in reference.quarantined(residue))
    return found


def test_a_value_is_chosen_by_its_bytes_and_not_by_what_is_equal_to_it() -> None:
    """Case B19's kind: 10.0 and 10.00 are two values to whoever corrects one of them."""
    copied(['{"items_per_page": 10.0}', '{"items_per_page": 10.00}', '{"items_per_page": "10"}'])
    for value in ("10.0", "10.00"):
        chosen = Selection(leaf="items_per_page", value=value)
        assert [e.value for e in listed("default", chosen, limit=10)] == [value]
        assert [c.users for c in counts("default", chosen)] == [1]


@pytest.mark.slow
def test_counts_by_leaf_and_reason_are_what_python_counts() -> None:
    rng = random.Random(5)
    texts = [seeding.blob(rng, 0.8) for _ in range(3_000)]
    short = [text for text in texts if text is None or len(text) < 1_000]
    copied(short)
    expected = in_python(short)
    found = counts("default")
    assert {(c.leaf, str(c.reason)): c.users for c in found} == expected
    assert len(expected) > 30
    entries = listed("default", Selection(), limit=10_000)
    assert Counter((e.leaf, str(e.reason)) for e in entries) == expected
    for (leaf, why), users in expected.items():
        chosen = Selection(leaf=leaf, reason=Reason(why))
        assert [c.users for c in counts("default", chosen)] == [users]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"items_per_page": 10.0}', "domain"),
        ('{"items_per_page": 501}', "domain"),
        ('{"items_per_page": "10"}', "type"),
        ('{"compact_mode": "true"}', "type"),
        ('{"compact_mode": {}}', "type"),
        ('{"theme": null}', "null"),
        ('{"theme": ""}', "domain"),
        ('{"notifications": null}', "parent"),
        ("null", "parent"),
    ],
)
def test_why_a_value_is_in_quarantine(text: Text, why: str) -> None:
    copied([text])
    [entry] = listed("default", Selection(), limit=1)
    assert (entry.reason, entry.expected) == (why, EXPECTED[entry.leaf])


@pytest.mark.slow
def test_a_value_is_shown_in_part_and_one_whose_text_cannot_be_built_not_at_all() -> None:
    huge = "[" + ",".join(["1e131071"] * 9_000) + "]"
    copied([f'{{"theme": {huge}}}', '{"theme": "%s"}' % ("x" * 200), '{"theme": 1}'])
    entries = listed("default", Selection(), limit=10)
    assert [e.value for e in entries] == [
        "(too long to show)",
        '"' + "x" * 79 + "…",
        "1",
    ]
    [count] = counts("default", Selection(reason=entries[1].reason))
    assert (count.users, count.sample) == (1, entries[1].value)
    assert [c.users for c in counts("default", Selection(value="1"))] == [1]


def test_counting_never_builds_a_huge_text() -> None:
    numbers = ",".join(["1e131071"] * 5_000)
    copied([f'{{"theme": [{numbers}]}}'] * 20)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '1s'")
        [count] = counts("default")
    assert (count.users, count.sample) == (20, "(too long to show)")

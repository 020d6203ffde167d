"""What is quarantined: mapped leaves that had to stay in the residue, and parents in their way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection
from hypothesis import given

from prefs.mapping import LEAVES, inner_nodes
from prefs.sql import copying, expressions
from tests.prefs import reference
from tests.prefs.exactness import insert_users
from tests.prefs.strategies import Batch, Text, batches, in_bulk

pytestmark = pytest.mark.django_db

EXPECTED = {leaf.dotted: leaf.domain.expected for leaf in LEAVES} | {
    node.dotted: "an object" for node in inner_nodes()
}


def quarantine(texts: Sequence[Text]) -> list[list[tuple[str, list[str], str, str]]]:
    """For each document its entries: (leaf, path, value as text, expected), sorted."""
    with connection.cursor() as cursor:
        ids = insert_users(cursor, texts)
        cursor.execute(copying.copy_missing(), {"after": ids[0] - 1, "upto": ids[-1]})
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
    quarantine(['{"theme": 1}', '{"theme": 2, "language": 3}', "null", '{"theme": "dark"}'])
    with connection.cursor() as cursor:
        cursor.execute(copying.quarantine_counts())
        assert cursor.fetchall() == [("theme", 2), ("", 1), ("language", 1)]

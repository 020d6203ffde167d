"""The exactness rule: document(tables(blob)) is the blob, for every value a jsonb can be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from hypothesis import given

from prefs.engine.quarantine import quarantined
from prefs.mapping import LEAVES
from prefs.sql import copying
from tests.prefs.exactness import culprit, failures, insert_users
from tests.support.strategies import Batch, Text, batches, in_bulk

pytestmark = pytest.mark.django_db

# Of 80 documents each.
EXAMPLES = 310

HAND_PICKED = (
    *(
        None,
        "null",
        "{}",
        "[]",
        "true",
        "0",
        '""',
        '"theme"',
        '["theme", "x"]',
        '[{"theme": "dark"}]',
    ),
    *('{"theme": "dark"}', '{"theme": "purple"}', '{"theme": null}', '{"theme": {}}'),
    *('{"theme": "light", "theme": "dark"}', '{"theme": "dark", "theme": 1}', '{"x": 1e131071}'),
    *('{"items_per_page": 10}', '{"items_per_page": 10.0}', '{"items_per_page": 1e1}'),
    *('{"items_per_page": "10"}', '{"items_per_page": -0}', '{"items_per_page": 2147483648}'),
    *('{"compact_mode": true}', '{"compact_mode": "true"}', '{"compact_mode": 1}'),
    *('{"notifications": {}}', '{"notifications": []}', '{"notifications": ["email"]}'),
    *('{"notifications": {"email": {}}}', '{"notifications": {"email": null, "push": {}}}'),
    *('{"notifications": {"email": {"marketing": true, "x": {}}, "sms": {}}}',),
    *('{"notifications": {"email": {"digest": "daily"}, "push": 1, "x": {"email": {}}}}',),
    *('{"notifications": {"quiet_hours": {"start": "22:00", "end": "24:00"}}}',),
    *('{"notifications": {"quiet_hours": {"start": "22:00+02", "end": "07:00:00"}}}',),
    '{"language": "' + "en-" * 11 + 'eng", "timezone": "' + "a" * 65 + '"}',
    '{"language": "en\\n", "timezone": "Factory", "date_format": "iso\\u0020"}',
    "[" * 10_000 + "]" * 10_000,
    '{"theme": "dark", "notifications": {"push": {"mentions": true, "x": '
    + '{"push":' * 5_000
    + "[0.10, 1.00, -0.0]"
    + "}" * 5_003,
)
# 2.5 KB of jsonb whose text PostgreSQL cannot build, in 1.6 seconds.
UNPRINTABLE = '{"theme": "dark", "x": [' + ",".join(["1e131071"] * 9_000) + "]}"


@pytest.fixture
def cursor() -> Iterator[Any]:
    with connection.cursor() as opened:
        yield opened


def rotated(texts: tuple[str | None, ...]) -> Batch:
    return Batch(texts, (*texts[1:], texts[0]))


def test_documents_picked_by_hand_come_back_byte_for_byte(cursor: Any) -> None:
    assert failures(cursor, rotated(HAND_PICKED)) == []


@pytest.mark.slow
def test_so_does_one_among_them_whose_text_cannot_be_built(cursor: Any) -> None:
    assert failures(cursor, rotated((*HAND_PICKED, UNPRINTABLE))) == []


@pytest.mark.slow
def test_twenty_thousand_different_documents_come_back_byte_for_byte(cursor: Any) -> None:
    checked: set[Text] = set()

    @in_bulk(EXAMPLES)
    @given(batches())
    def check(batch: Batch) -> None:
        found = failures(cursor, batch)
        assert found == [], culprit(cursor, batch)
        checked.update(batch.before)

    check()
    # Hypothesis repeats itself, more or less by its version: it is the difference that counts.
    assert len(checked) >= 20_000
    assert set(what_was_exercised(cursor)) == {leaf.dotted for leaf in LEAVES}


def what_was_exercised(cursor: Any) -> list[str]:
    """The leaves that were often typed and often quarantined in what was just checked."""
    typed = ", ".join(f'count("{leaf.column}")' for leaf in LEAVES)
    cursor.execute(
        f"SELECT {typed} FROM user_preferences JOIN notification_preferences USING (user_id)"
    )
    counts = dict(zip((leaf.dotted for leaf in LEAVES), cursor.fetchone(), strict=True))
    kept = quarantined("default")
    return [name for name in counts if counts[name] > 500 and kept.get(name, 0) > 50]


def test_a_row_of_nulls_an_empty_residue_and_a_null_residue_are_three_blobs(cursor: Any) -> None:
    ids = insert_users(cursor, [None, "{}", "null"])
    cursor.execute(copying.copy_missing(), {"after": ids[0] - 1, "upto": ids[-1]})
    cursor.execute("SELECT residue::text FROM user_preferences ORDER BY user_id")
    assert cursor.fetchall() == [(None,), ("{}",), ("null",)]


def test_a_missing_row_is_a_difference_even_where_it_reads_as_the_blob_does(cursor: Any) -> None:
    ids = insert_users(cursor, ["{}", "{}", "{}"])
    range_ = {"after": None, "upto": ids[-1]}
    cursor.execute(copying.copy_missing(), range_)
    cursor.execute("DELETE FROM user_preferences WHERE user_id = %s", [ids[0]])
    cursor.execute("DELETE FROM notification_preferences WHERE user_id = %s", [ids[1]])
    cursor.execute(copying.difference(), range_)
    assert cursor.fetchall() == [(ids[0],), (ids[1],)]
    cursor.execute(copying.difference_of(), {"ids": ids})
    assert cursor.fetchall() == [(ids[0],), (ids[1],)]


def test_a_leaf_left_in_the_residue_is_a_difference_and_is_settled(cursor: Any) -> None:
    ids = insert_users(cursor, ['{"theme": "dark", "x": 1}', '{"theme": "purple"}'])
    range_ = {"after": None, "upto": ids[-1], "ids": ids}
    cursor.execute(copying.copy_missing(), range_)
    cursor.execute(
        "UPDATE user_preferences SET theme = NULL, residue = u.preferences"
        " FROM accounts_user u WHERE u.id = user_id"
    )
    cursor.execute(copying.difference(), range_)
    assert cursor.fetchall() == [(ids[0],)]
    cursor.execute(copying.settle_tables(), range_)
    cursor.execute(copying.difference(), range_)
    assert cursor.fetchall() == []
    cursor.execute("SELECT theme, residue::text FROM user_preferences ORDER BY user_id")
    assert cursor.fetchall() == [("dark", '{"x": 1}'), (None, '{"theme": "purple"}')]

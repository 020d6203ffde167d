"""The typed columns and the residue, leaf by leaf, against a second opinion in plain Python."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from hypothesis import given

from prefs.mapping import LEAVES
from prefs.sql import copying
from tests.prefs.exactness import insert_users
from tests.support import reference
from tests.support.strategies import Batch, Text, batches, in_bulk

pytestmark = pytest.mark.django_db

# As deep as Python's decoder goes in every supported version.
DEEPEST = 200

_TIMES = ("quiet_hours_start", "quiet_hours_end")
_ROWS = f"""SELECT {", ".join(c + "::text" if c in _TIMES else c for c in reference.COLUMNS)},
    residue::text FROM user_preferences JOIN notification_preferences USING (user_id)
  WHERE user_id = ANY(%s) ORDER BY user_id"""


def stored_rows(texts: tuple[Text, ...]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        ids = insert_users(cursor, texts)
        cursor.execute(copying.copy_missing(), {"after": ids[0] - 1, "upto": ids[-1]})
        cursor.execute(_ROWS, [ids])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def check(texts: tuple[Text, ...]) -> None:
    for text, row in zip(texts, stored_rows(texts), strict=True):
        columns, residue = reference.split(reference.parse(text))
        assert dict(zip(reference.COLUMNS, row, strict=False)) == columns, text
        assert all(type(row[n]) is type(columns[c]) for n, c in enumerate(reference.COLUMNS)), text
        assert reference.parse(row[-1]) == residue, text


def test_the_specification_and_the_mapping_have_the_same_leaves() -> None:
    mapped = [(leaf.dotted, leaf.column) for leaf in LEAVES]
    assert mapped == [(leaf, column) for leaf, column, _ in reference.LEAVES]


@pytest.mark.slow
@in_bulk(150)
@given(batches(deepest=DEEPEST))
def test_columns_hold_what_the_document_says_and_the_residue_exactly_the_rest(
    batch: Batch,
) -> None:
    check(batch.before)


@pytest.mark.parametrize(
    ("text", "columns", "residue"),
    [
        (None, {}, None),
        ("{}", {}, "{}"),
        ("null", {}, "null"),
        ('["theme"]', {}, '["theme"]'),
        ('{"theme": "dark"}', {"theme": "dark"}, None),
        ('{"theme": "Dark"}', {}, '{"theme": "Dark"}'),
        ('{"theme": "\\u0064ark"}', {"theme": "dark"}, None),
        ('{"items_per_page": 1e2}', {"items_per_page": 100}, None),
        ('{"items_per_page": 1.0e2}', {"items_per_page": 100}, None),
        ('{"items_per_page": 10.0}', {}, '{"items_per_page": 10.0}'),
        ('{"items_per_page": 501}', {}, '{"items_per_page": 501}'),
        ('{"language": "en\\n"}', {}, '{"language": "en\\n"}'),
        ('{"compact_mode": null}', {}, '{"compact_mode": null}'),
        (
            '{"notifications": {"email": {"digest": "off"}, "push": {}}, "x": 1}',
            {"email_digest": "off"},
            '{"notifications": {"push": {}}, "x": 1}',
        ),
        (
            '{"notifications": {"quiet_hours": {"start": "23:59", "end": "24:00"}}}',
            {"quiet_hours_start": "23:59:00"},
            '{"notifications": {"quiet_hours": {"end": "24:00"}}}',
        ),
        (
            '{"notifications": {"quiet_hours": {"start": "22:00+02"}, "sms": ["security"]}}',
            {},
            '{"notifications": {"quiet_hours": {"start": "22:00+02"}, "sms": ["security"]}}',
        ),
    ],
)
def test_what_is_typed_and_what_stays(text: Text, columns: dict[str, Any], residue: Text) -> None:
    [row] = stored_rows((text,))
    typed = dict(zip(reference.COLUMNS, row, strict=False))
    assert {column: value for column, value in typed.items() if value is not None} == columns
    assert reference.parse(row[-1]) == reference.parse(residue)

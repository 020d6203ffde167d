"""The tables in the database: their CHECKs, keys and indexes, and what the gate expects of them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefs.domains import Choice, ClockTime, Flag, Shape, WholeNumber
from prefs.engine.integrity import wrong_tables
from prefs.engine.look import look
from prefs.mapping import LEAVES, NOTIFICATION_TABLE, USER_TABLE, Leaf
from prefs.sql import expressions
from tests.prefs.exactness import insert_users

pytestmark = pytest.mark.django_db

TABLES = (USER_TABLE, NOTIFICATION_TABLE)
TEXTS = [leaf for leaf in LEAVES if isinstance(leaf.domain, Choice | Shape)]
CHECKED = [leaf for leaf in LEAVES if not isinstance(leaf.domain, Flag)]

REFUSED: list[tuple[str, Any]] = [
    *(("theme", value) for value in ("", "Dark", "dark ", "dark\n", "purple", "null")),
    *(("date_format", value) for value in ("ISO", "de", "iso,us")),
    *(("email_digest", value) for value in ("on", "true", "monthly")),
    *(
        ("language", value)
        for value in ("", "e", "en\n", "en_GB", "-en", "en-", "\u00e9n", "en--x")
    ),
    *(("language", "en-" * 11 + "eng"), ("language", "toolonglang")),
    *(
        ("timezone", value)
        for value in ("", "/UTC", "UTC/", "../etc", "Europe//Rome", "1UTC", "a b")
    ),
    ("timezone", "a" * 65),
    *(("items_per_page", value) for value in (0, -1, 501, 2147483647)),
    *(("quiet_hours_start", value) for value in ("24:00", "10:00:01", "10:00:00.5", "23:59:60")),
    *(("quiet_hours_end", value) for value in ("24:00", "00:00:00.000001")),
]


@pytest.fixture
def cursor() -> Iterator[Any]:
    with connection.cursor() as opened:
        yield opened


def leaf_of(column: str) -> Leaf:
    return next(leaf for leaf in LEAVES if leaf.column == column)


def insert(cursor: Any, leaf: Leaf, value: Any) -> None:
    [user] = insert_users(cursor, ["{}"])
    with transaction.atomic():
        cursor.execute(
            f'INSERT INTO {leaf.table} (user_id, "{leaf.column}") VALUES (%s, %s)', [user, value]
        )


@pytest.mark.parametrize(("column", "value"), REFUSED)
def test_a_value_out_of_its_domain_is_refused_by_its_check(
    cursor: Any, column: str, value: Any
) -> None:
    leaf = leaf_of(column)
    with pytest.raises(IntegrityError, match=f"{leaf.table}_{column}_domain"):
        insert(cursor, leaf, value)


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.column)
def test_null_is_accepted_everywhere_and_every_check_has_its_own_test(
    cursor: Any, leaf: Leaf
) -> None:
    insert(cursor, leaf, None)
    assert (leaf.column in dict(REFUSED)) is (leaf in CHECKED)


def passing(cursor: Any, leaf: Leaf, sql_type: str, values: Sequence[Any]) -> list[Any]:
    """Those of the column's values that its CHECK, as the database has it, accepts."""
    cursor.execute(
        "SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE conname = %s",
        [f"{leaf.table}_{leaf.column}_domain"],
    )
    [condition] = cursor.fetchone()
    cursor.execute(
        f'SELECT t."{leaf.column}" FROM unnest(%s::{sql_type}[]) t("{leaf.column}")'
        f" WHERE {condition}",
        [list(values)],
    )
    return [row[0] for row in cursor.fetchall()]


def accepted(cursor: Any, leaf: Leaf, documents: Sequence[str]) -> list[tuple[str, Any]]:
    """Those of the JSON texts that `typed_value` accepts, each with the column's value."""
    cursor.execute(
        f"SELECT t.body, {expressions.typed_value(leaf.domain, 't.body::jsonb')}"
        " FROM unnest(%s::text[]) t(body)",
        [list(documents)],
    )
    return [(body, value) for body, value in cursor.fetchall() if value is not None]


def candidates() -> st.SearchStrategy[str]:
    """Strings in every domain, and strings that miss one by a character."""
    inside = st.sampled_from([text for leaf in TEXTS for text in samples(leaf)])
    shaped = st.sampled_from(
        [leaf.domain.pattern for leaf in TEXTS if isinstance(leaf.domain, Shape)]
    )
    near = st.tuples(
        inside, st.integers(0, 8), st.sampled_from("aZ0-_/+. \n\t\u00e9\u0662\U0001f600")
    )
    return st.one_of(
        inside,
        near.map(lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] :]),
        shaped.flatmap(st.from_regex),
        st.integers(30, 70).map(lambda length: ("en-" * 30)[:length]),
        st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=70),
    ).filter(lambda text: "\x00" not in text)


def samples(leaf: Leaf) -> tuple[str, ...]:
    assert isinstance(leaf.domain, Choice | Shape)
    return leaf.domain.values if isinstance(leaf.domain, Choice) else leaf.domain.examples


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(candidates(), min_size=40, max_size=40))
def test_strings_that_are_typed_are_those_that_the_check_accepts(texts: list[str]) -> None:
    with connection.cursor() as cursor:
        for leaf in TEXTS:
            typed = accepted(cursor, leaf, [json.dumps(text) for text in texts])
            assert [value for _, value in typed] == passing(cursor, leaf, "text", texts)
            assert all(json.loads(body) == value for body, value in typed)


@pytest.mark.parametrize("leaf", TEXTS, ids=lambda leaf: leaf.column)
def test_every_sample_of_a_domain_is_typed_and_accepted(cursor: Any, leaf: Leaf) -> None:
    texts = samples(leaf)
    typed = accepted(cursor, leaf, [json.dumps(text) for text in texts])
    assert [value for _, value in typed] == list(texts) == passing(cursor, leaf, "text", texts)


def test_numbers_that_are_typed_are_those_that_the_check_accepts(cursor: Any) -> None:
    leaf = leaf_of("items_per_page")
    assert isinstance(leaf.domain, WholeNumber)
    numbers = [*range(-1500, 1500), 2**31 - 1, -(2**31)]
    huge = [str(number) for number in (*numbers, 2**31, 2**63, 10**9, 10**10, 10**4000)]
    typed = accepted(
        cursor, leaf, [*huge, "10.0", "1.5", '"10"', "true", "null", "[10]", "1e131071"]
    )
    assert [value for _, value in typed] == passing(cursor, leaf, "integer", numbers)
    assert [value for _, value in typed] == list(range(1, 501))


@pytest.mark.parametrize(
    "leaf",
    [leaf for leaf in LEAVES if isinstance(leaf.domain, ClockTime)],
    ids=lambda leaf: leaf.column,
)
def test_times_that_are_typed_are_those_that_the_check_accepts(cursor: Any, leaf: Leaf) -> None:
    minutes = [f"{hour:02}:{minute:02}" for hour in range(25) for minute in range(61)]
    odd = [
        "9:30",
        "09:3",
        "22:00+02",
        "22:00:00",
        "10:00 PM",
        "22:00\n",
        " 22:00",
        "\u0662\u0662:00",
        "",
    ]
    typed = accepted(cursor, leaf, [json.dumps(text) for text in (*minutes, *odd)])
    # A time column can hold 24:00 and fractions of a second; 00:60 and 24:01 it cannot.
    times = [t for t in minutes if not t.endswith(":60") and (t < "24:00" or t == "24:00")]
    found = passing(cursor, leaf, "time", [*times, "10:00:30", "10:00:00.25", "23:59:60"])
    assert [value for _, value in typed] == found
    assert found == [dt.time(hour, minute) for hour in range(24) for minute in range(60)]


def test_a_flag_is_typed_for_true_and_false_alone(cursor: Any) -> None:
    leaf = leaf_of("compact_mode")
    bodies = ["true", "false", "null", '"true"', '"t"', "1", "0", "[]", "{}", "[true]", '"false"']
    assert accepted(cursor, leaf, bodies) == [("true", True), ("false", False)]


@pytest.mark.parametrize("table", TABLES)
def test_a_row_needs_its_user_goes_with_it_and_follows_its_key(cursor: Any, table: str) -> None:
    [user] = insert_users(cursor, ["{}"])
    with pytest.raises(IntegrityError, match=f"{table}_user_id_fkey"), transaction.atomic():
        cursor.execute(f"INSERT INTO {table} (user_id) VALUES (%s)", [user + 1])
    cursor.execute(f"INSERT INTO {table} (user_id) VALUES (%s)", [user])
    cursor.execute("UPDATE accounts_user SET id = %s WHERE id = %s", [user + 7, user])
    cursor.execute(f"SELECT user_id FROM {table}")
    assert cursor.fetchall() == [(user + 7,)]
    cursor.execute("DELETE FROM accounts_user WHERE id = %s", [user + 7])
    cursor.execute(f"SELECT user_id FROM {table}")
    assert cursor.fetchall() == []


def test_the_database_has_exactly_the_objects_that_the_gate_expects(cursor: Any) -> None:
    assert wrong_tables(look("default")) == []


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE user_preferences DROP CONSTRAINT user_preferences_theme_domain",
        "ALTER TABLE user_preferences DROP CONSTRAINT user_preferences_user_id_fkey",
        "ALTER TABLE user_preferences DROP CONSTRAINT user_preferences_pkey",
        "ALTER TABLE user_preferences ADD CONSTRAINT other CHECK (theme <> 'light')",
        "DROP INDEX prefs_quarantined",
        "DROP INDEX prefs_quarantined; ALTER TABLE user_preferences ALTER COLUMN residue TYPE text",
        "ALTER TABLE user_preferences ALTER COLUMN theme TYPE varchar(10)",
        "ALTER TABLE user_preferences ALTER COLUMN theme SET NOT NULL",
        "ALTER TABLE user_preferences DROP COLUMN compact_mode",
        "ALTER TABLE user_preferences ADD COLUMN extra text",
        "ALTER TABLE user_preferences DROP CONSTRAINT user_preferences_theme_domain,"
        " ADD CONSTRAINT user_preferences_theme_domain CHECK (theme IN ('light', 'dark'))",
        "ALTER TABLE user_preferences DROP CONSTRAINT user_preferences_user_id_fkey,"
        " ADD CONSTRAINT user_preferences_user_id_fkey FOREIGN KEY (user_id)"
        " REFERENCES accounts_user (id) ON DELETE CASCADE ON UPDATE CASCADE NOT VALID",
        "DROP INDEX prefs_push_mentions",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'prefs_push_mentions'::regclass",
    ],
)
def test_an_object_that_was_altered_is_noticed(cursor: Any, change: str) -> None:
    cursor.execute(change)
    assert wrong_tables(look("default"))

"""Writers that are not ours: raw SQL on the users table, in every form that PostgreSQL has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction

from tests.support.stores import query

BEFORE = '{"theme": "light", "items_per_page": 10, "beta": 1}'
AFTER = '{"theme": "dark", "items_per_page": 10.0, "beta": 1.0, "notifications": {"push": 1}}'
COLUMNS = (
    "username, password, first_name, last_name, email, is_superuser, is_staff, is_active,"
    " date_joined, preferences"
)
REST = "'', '', '', '', false, false, true, now()"
Write = Callable[[list[int]], Any]


def update_one_by_one(users: list[int]) -> None:
    for user in users:
        query("UPDATE accounts_user SET preferences = %s::jsonb WHERE id = %s", [AFTER, user])


def update_at_once(users: list[int]) -> None:
    query("UPDATE accounts_user SET preferences = %s::jsonb WHERE id = ANY(%s)", [AFTER, users])


def update_from(users: list[int]) -> None:
    query(
        "UPDATE accounts_user u SET preferences = given.doc"
        " FROM (SELECT unnest(%s::bigint[]), %s::jsonb) given(id, doc) WHERE u.id = given.id",
        [users, AFTER],
    )


def update_in_a_cte(users: list[int]) -> None:
    query(
        "WITH w AS (UPDATE accounts_user SET preferences = %s::jsonb WHERE id = ANY(%s)"
        " RETURNING id) SELECT count(*) FROM w",
        [AFTER, users],
    )


def upsert(users: list[int]) -> None:
    query(
        f"INSERT INTO accounts_user (id, {COLUMNS})"
        f" SELECT g, gen_random_uuid(), {REST}, %s::jsonb FROM unnest(%s::bigint[]) g"
        " ON CONFLICT (id) DO UPDATE SET preferences = excluded.preferences",
        [AFTER, users],
    )


def merge_into(users: list[int]) -> None:
    query(
        "MERGE INTO accounts_user u USING unnest(%s::bigint[]) g(id) ON u.id = g.id"
        " WHEN MATCHED THEN UPDATE SET preferences = %s::jsonb",
        [users, AFTER],
    )


def update_in_a_block(users: list[int]) -> None:
    """Several statements that the server gets as one, so with one time."""
    each = "".join(
        f"UPDATE accounts_user SET preferences = '{AFTER}' WHERE id = {user};" for user in users
    )
    query(f"DO $block$ BEGIN {each} END $block$")


UPDATES: list[Write] = [
    update_one_by_one,
    update_at_once,
    update_from,
    update_in_a_cte,
    upsert,
    merge_into,
    update_in_a_block,
]


def insert() -> list[int]:
    rows = query(
        f"INSERT INTO accounts_user ({COLUMNS})"
        f" SELECT gen_random_uuid(), {REST}, %s::jsonb FROM generate_series(1, 3) RETURNING id",
        [AFTER],
    )
    return [row[0] for row in rows]


def copy() -> list[int]:
    names = [f"copied-{number}" for number in range(3)]
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY accounts_user ({COLUMNS}) FROM STDIN") as stream,
    ):
        for name in names:
            stream.write_row((name, "", "", "", "", "f", "f", "t", "2026-11-23", AFTER))
    rows = query("SELECT id FROM accounts_user WHERE username = ANY(%s)", [names])
    return [row[0] for row in rows]


INSERTS: list[Callable[[], list[int]]] = [insert, copy]


@contextmanager
def refused(
    *said: str, error: type[DatabaseError] = OperationalError, state: str = "55000"
) -> Iterator[None]:
    """The block, a transaction, is refused by the database with that SQLSTATE and those words."""
    with pytest.raises(error) as raised, transaction.atomic():
        yield
    cause: Any = raised.value.__cause__
    assert cause.sqlstate == state
    for words in said:
        assert words in str(raised.value)

"""Both stores by plain SQL: put a site in a route, fill a store, look at what is in it.

Nothing here goes through the managers, so a test that compares with it compares two things.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import connection

from prefs.mapping import NOTIFICATION_TABLE, USER_TABLE
from prefs.routing import Route
from prefs.sql import catalog, copying
from prefs.sql.expressions import document, typed
from prefs.sql.places import placed
from prefs.sql.triggers import capture_triggers
from prefs.sql.writes import upsert
from tests.support.tampering import behind_their_backs, drop_column, tamper, turn

# What the store that a route does not use holds: an answer with it came from the wrong one.
DECOY = '{"theme": "system", "decoy": true, "notifications": {"email": {"marketing": false}}}'
NOBODY = 987_654_321


class Place(enum.Enum):
    """The four routes, and the last of them again once the column is dropped."""

    BLOB = (Route.BLOB, True)
    BLOB_MIRRORED = (Route.BLOB_MIRRORED, True)
    TABLES_MIRRORED = (Route.TABLES_MIRRORED, True)
    TABLES = (Route.TABLES, True)
    DROPPED = (Route.TABLES, False)

    @property
    def route(self) -> Route:
        return self.value[0]

    @property
    def has_column(self) -> bool:
        return self.value[1]


def query(statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    """The rows of a statement; none where it gives none."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall()) if cursor.description else []


def planned(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The same of a large statement that many tests send: it is planned once a session."""
    connection.ensure_connection()
    raw: Any = connection.connection
    with connection.wrap_database_errors, psycopg.Cursor(raw) as cursor:
        cursor.execute(placed(statement, connection), parameters, prepare=True)
        return list(cursor.fetchall()) if cursor.description else []


def enter(place: Place) -> None:
    """Set both switches, and have the column or not."""
    turn(place.route)
    if place.has_column:
        restore_column()
    else:
        drop_column()


def restore_column() -> None:
    """Have the column, as the site's own migrations made it, and our triggers."""
    if query(catalog.state())[0][2]:
        return
    query("ALTER TABLE accounts_user ADD COLUMN preferences jsonb DEFAULT '{}'::jsonb")
    for trigger in capture_triggers():
        query(trigger.create)


def insert_users(place: Place, texts: Sequence[str | None]) -> list[int]:
    """New users with these documents in the stores of the route, and decoys in the other."""
    decoys = [DECOY] * len(texts)
    column, value = (", preferences", ", d.doc::jsonb") if place.has_column else ("", "")
    with behind_their_backs():
        rows = query(
            "INSERT INTO accounts_user (username, password, first_name, last_name, email,"
            f" is_superuser, is_staff, is_active, date_joined{column})"
            f" SELECT gen_random_uuid(), '', '', '', '', false, false, true, now(){value}"
            " FROM unnest(%s::text[]) WITH ORDINALITY d(doc, place) ORDER BY d.place RETURNING id",
            [list(texts if place.route.writes_blob else decoys)],
        )
    ids = [row[0] for row in rows]
    fill_tables(ids, texts if place.route.writes_tables else decoys)
    return ids


def insert_user(place: Place, text: str | None) -> int:
    """One such user."""
    return insert_users(place, [text])[0]


def fill_tables(ids: Sequence[int], texts: Sequence[str | None]) -> None:
    """Make the typed rows of users those of the documents `texts`, and leave the blobs alone."""
    with behind_their_backs():
        for table in (USER_TABLE, NOTIFICATION_TABLE):
            planned(
                "WITH source AS (SELECT * FROM"
                " unnest(%(ids)s::bigint[], %(texts)s::text[]::jsonb[]) s(user_id, doc)),"
                f" typed AS MATERIALIZED ({typed('source')}) {upsert(table, 'typed s')}",
                {"ids": list(ids), "texts": list(texts)},
            )


def fill_blob(user: int, text: str | None) -> None:
    """Make `text` the blob of a user, and leave the typed rows alone."""
    tamper("UPDATE accounts_user SET preferences = %s::jsonb WHERE id = %s", text, user)


def delete_rows(user: int) -> None:
    """Take away the typed rows of a user: one who was never copied."""
    for table in (USER_TABLE, NOTIFICATION_TABLE):
        tamper(f"DELETE FROM {table} WHERE user_id = %s", user)


def blob_text(user: int) -> str | None:
    """The text of a user's blob."""
    found: str | None = query("SELECT preferences::text FROM accounts_user WHERE id = %s", [user])[
        0
    ][0]
    return found


def tables_text(user: int) -> str | None:
    """The text of the document that a user's typed rows make."""
    found: str | None = planned(
        f"SELECT ({document('p', 'n')})::text FROM (SELECT) one"
        " LEFT JOIN user_preferences p ON p.user_id = %(user)s::bigint"
        " LEFT JOIN notification_preferences n ON n.user_id = %(user)s::bigint",
        {"user": user},
    )[0][0]
    return found


def primary_text(place: Place, user: int) -> str | None:
    """The text of a user's document in the store that the route reads."""
    return tables_text(user) if place.route.reads_tables else blob_text(user)


def as_jsonb(text: str | None) -> str | None:
    """`text` as PostgreSQL writes it back."""
    found: str | None = query("SELECT %s::jsonb::text", [text])[0][0]
    return found


def differ(user: int) -> bool:
    """Whether the two stores of a user differ, by the statement that verification runs."""
    return bool(planned(copying.difference_of(), {"ids": [user]}))


def versions(user: int) -> dict[str, list[tuple[Any, ...]]]:
    """Which row versions a user has, by table: a row that was written has a new one."""
    keys = {"accounts_user": "id", USER_TABLE: "user_id", NOTIFICATION_TABLE: "user_id"}
    return {
        table: query(f"SELECT xmin::text, ctid::text FROM {table} WHERE {key} = %s", [user])
        for table, key in keys.items()
    }

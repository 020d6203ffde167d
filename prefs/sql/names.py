"""The identifiers that statements are rendered with, quoted once, here; and the keyset.

What belongs to the database is named with its schema, so that no temporary table and no other
schema of a session's search path can stand in for it. Which schema that is each connection
knows for itself: statements hold `ANYWHERE` in its place, and `places` puts it in.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from django.contrib.auth import get_user_model
from django.db import connection
from waffle import get_waffle_sample_model, get_waffle_switch_model

from prefs.mapping import BLOB_COLUMN, NOTIFICATION_TABLE, RESIDUE_COLUMN, USER_TABLE

AUDIT_TABLE = "prefs_audit"
TRANSITION_TABLE = "prefs_transition"
ARCHIVE_TABLE = "prefs_archive"
DEPARTURE_TABLE = "prefs_archive_departure"
MISMATCH_TABLE = "prefs_mismatch"
SHADOW_TABLE = "prefs_shadow"
RUN_TABLE = "prefs_run"


# Where the schema of a table or a function of ours goes.
ANYWHERE = '"?"'


def quote(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def qualified(name: str) -> str:
    """The table or function `name` of the migration, or a table that it works on, qualified."""
    return f"{ANYWHERE}.{quote(name)}"


def literal(text: str) -> str:
    """`text` as an SQL string literal, whatever standard_conforming_strings says."""
    quoted = "'" + text.replace("'", "''") + "'"
    return "E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


def oids(*tables: str) -> str:
    """Tables, qualified, as an SQL list of what the catalogs know them by."""
    return ", ".join(f"{literal(table)}::regclass" for table in tables)


@dataclass(frozen=True, kw_only=True)
class Names:
    """Tables and columns of this site, ready to stand in a statement."""

    users: str
    key: str
    key_type: str
    switches: str
    samples: str
    blob: str = quote(BLOB_COLUMN)
    residue: str = quote(RESIDUE_COLUMN)
    user_table: str = qualified(USER_TABLE)
    notification_table: str = qualified(NOTIFICATION_TABLE)


@cache
def names() -> Names:
    """The names of this site: its user model may be any, keyed by integer or UUID."""
    users = get_user_model()._meta
    assert users.pk is not None
    assert users.pk.column is not None
    table, switches, samples = site_tables()
    key_type = users.pk.rel_db_type(connection)
    assert key_type is not None
    return Names(
        users=qualified(table),
        key=quote(users.pk.column),
        key_type=key_type,
        switches=qualified(switches),
        samples=qualified(samples),
    )


def site_tables() -> tuple[str, str, str]:
    """The tables that were there before: users, waffle's switches and waffle's samples."""
    users, switches = get_user_model()._meta, get_waffle_switch_model()._meta
    return users.db_table, switches.db_table, get_waffle_sample_model()._meta.db_table


def keyset(key: str) -> str:
    """The condition that a user's key comes after the parameter `after`, where that is given."""
    given = f"%(after)s::{names().key_type}"
    return f"({given} IS NULL OR {key} > {given})"

"""The identifiers that statements are rendered with, quoted once, here; and the keyset."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from django.contrib.auth import get_user_model
from django.db import connection
from waffle import get_waffle_switch_model

from prefs.mapping import BLOB_COLUMN, NOTIFICATION_TABLE, RESIDUE_COLUMN, USER_TABLE

AUDIT_TABLE = "prefs_audit"
TRANSITION_TABLE = "prefs_transition"
ARCHIVE_TABLE = "prefs_archive"
DEPARTURE_TABLE = "prefs_archive_departure"


def quote(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, kw_only=True)
class Names:
    """Tables and columns of this site, ready to stand in a statement."""

    users: str
    key: str
    key_type: str
    switches: str
    blob: str = quote(BLOB_COLUMN)
    residue: str = quote(RESIDUE_COLUMN)
    user_table: str = quote(USER_TABLE)
    notification_table: str = quote(NOTIFICATION_TABLE)


@cache
def names() -> Names:
    """The names of this site: its user model may be any, keyed by integer or UUID."""
    users = get_user_model()._meta
    assert users.pk is not None
    assert users.pk.column is not None
    key_type = users.pk.rel_db_type(connection)
    assert key_type is not None
    return Names(
        users=quote(users.db_table),
        key=quote(users.pk.column),
        key_type=key_type,
        switches=quote(get_waffle_switch_model()._meta.db_table),
    )


def keyset(key: str) -> str:
    """The condition that a user's key comes after the parameter `after`, where that is given."""
    given = f"%(after)s::{names().key_type}"
    return f"({given} IS NULL OR {key} > {given})"

"""The foreign keys of the typed tables: put aside for a copy of everybody, and put back."""

from __future__ import annotations

from collections.abc import Iterable

from prefs.sql.installed import foreign_key_name
from prefs.sql.names import literal, names, qualified, quote


def drop_key(table: str) -> str:
    """Drop the key of a table, if it is there. Locks both tables against everything."""
    key = quote(foreign_key_name(table))
    return f"ALTER TABLE {qualified(table)} DROP CONSTRAINT IF EXISTS {key}"


def add_key(table: str) -> str:
    """Add the key of a table, which rows that are there may break. Locks out writers of users.

    One that is there, from an earlier try, is dropped first.
    """
    n = names()
    return (
        f"{drop_key(table)}, ADD CONSTRAINT {quote(foreign_key_name(table))}"
        f" FOREIGN KEY (user_id) REFERENCES {n.users} ({n.key})"
        " ON DELETE CASCADE ON UPDATE CASCADE NOT VALID"
    )


def validate_key(table: str) -> str:
    """Prove that every row keeps the key: one join, beside which both tables are written."""
    return f"ALTER TABLE {qualified(table)} VALIDATE CONSTRAINT {quote(foreign_key_name(table))}"


def delete_orphans(table: str) -> str:
    """Delete the rows of a typed table whose user is gone. Locks those rows alone."""
    n = names()
    return f"""DELETE FROM {qualified(table)} t WHERE NOT EXISTS (
      SELECT FROM {n.users} u WHERE u.{n.key} = t.user_id)"""


def missing(tables: Iterable[str]) -> str:
    """Those of these tables whose key is not there, or not valid: (table)."""
    rows = ", ".join(
        f"({literal(table)}, {literal(qualified(table))}::regclass,"
        f" {literal(foreign_key_name(table))})"
        for table in tables
    )
    return f"""SELECT t.name FROM (VALUES {rows}) t(name, id, key) WHERE NOT EXISTS (
      SELECT FROM pg_constraint k WHERE k.conrelid = t.id AND k.conname = t.key
      AND k.convalidated)"""


def lock_table(table: str) -> str:
    """Lock a table against everything."""
    return f"LOCK TABLE {qualified(table)} IN ACCESS EXCLUSIVE MODE"


def one_at_a_time() -> str:
    """(whether this transaction holds the advisory lock of those who put keys back)."""
    return "SELECT pg_try_advisory_xact_lock(hashtext('prefs foreign keys'))"

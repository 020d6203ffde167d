"""A trigger that fills both tables when a user is written, and updates that change nothing.

This is how pgroll backfills: in batches by key, each of which locks its users first.
"""

from __future__ import annotations

from benchmarks.baselines import TYPED, cast
from benchmarks.databases import Session, here
from prefs.mapping import leaves_of
from prefs.sql.names import names, quote

_BATCH = 1_000


def install(session: Session) -> None:
    """Make the trigger."""
    body = "\n".join(f"  {_upsert(table)};" for table in TYPED)
    session.execute(
        here(f"""CREATE FUNCTION self_update() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN {body} RETURN new; END $$""")
    )
    session.execute(
        here(f"""CREATE TRIGGER self_update BEFORE UPDATE ON {names().users}
        FOR EACH ROW EXECUTE FUNCTION self_update()""")
    )


def self_update(session: Session) -> None:
    """Update every user to what they are, each batch in its own transaction."""
    n = names()
    statement = here(f"""WITH batch AS (SELECT u.{n.key} FROM {n.users} u
        WHERE %(after)s::{n.key_type} IS NULL OR u.{n.key} > %(after)s::{n.key_type}
        ORDER BY u.{n.key} LIMIT {_BATCH} FOR NO KEY UPDATE),
      updated AS (UPDATE {n.users} u SET {n.key} = u.{n.key} FROM batch b
        WHERE u.{n.key} = b.{n.key} RETURNING u.{n.key})
      SELECT max(updated.{n.key}) FROM updated""")
    after = None
    while row := session.execute(statement, {"after": after}).fetchone():
        if row[0] is None:
            return
        after = row[0]


def _upsert(table: str) -> str:
    n = names()
    columns = [quote(leaf.column) for leaf in leaves_of(table)]
    values = ", ".join(cast(leaf, f"new.{n.blob}") for leaf in leaves_of(table))
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns)
    return f"""INSERT INTO {quote(table)} (user_id, {", ".join(columns)})
    VALUES (new.{n.key}, {values})
    ON CONFLICT (user_id) DO UPDATE SET {changes}"""

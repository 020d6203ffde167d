"""One `INSERT … SELECT` for each table, in one transaction."""

from __future__ import annotations

from benchmarks.baselines import TYPED, cast
from benchmarks.databases import Session, here
from prefs.mapping import leaves_of
from prefs.sql.names import names, quote


def one_shot(session: Session) -> None:
    """Fill both tables."""
    with session.transaction():
        for table in TYPED:
            session.execute(here(statement(table)))


def statement(table: str) -> str:
    """The statement that fills one table."""
    n = names()
    columns = ", ".join(quote(leaf.column) for leaf in leaves_of(table))
    values = ", ".join(cast(leaf, f"u.{n.blob}") for leaf in leaves_of(table))
    return f"""INSERT INTO {quote(table)} (user_id, {columns})
    SELECT u.{n.key}, {values} FROM {n.users} u"""

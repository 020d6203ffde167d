"""Tables that the protocol does not hold for: refused before anything is built on them.

The drain waits for locks on the users table itself, the guards are row triggers that stand where
a write arrives, a key refers to one table. Partitions, shards, foreign and inherited tables have
rows that are written elsewhere; an unlogged table is emptied by a crash.
"""

from __future__ import annotations

from django.core.management.base import CommandError

from prefs.engine import catalogs
from prefs.sql import unsupported as sql

REMEDY = "docs/scaling.md says what works, and what to do instead."


def unsupported(alias: str) -> list[str]:
    """Why the protocol does not hold here, in a sentence each; as far as tables are there."""
    [(citus, replica)] = catalogs.rows(alias, sql.citus_catalog())
    managed = [row[0] for row in catalogs.rows(alias, sql.distributed(citus))] if citus else []
    wrong = [
        f"the table {table} {why}"
        for table, why in catalogs.rows(alias, sql.unsupported(), distributed=managed)
    ]
    return [*wrong, *(["this server is a replica"] if replica else [])]


def refuse_unsupported(alias: str) -> None:
    """Raise CommandError with status 4 where the protocol does not hold. Locks nothing."""
    if wrong := unsupported(alias):
        raise CommandError(
            f"The preferences migration is not made for this database: {'; '.join(wrong)}."
            f" Nothing was changed. Expected: users and preferences in ordinary, permanent tables"
            f" of a primary. {REMEDY}",
            returncode=4,
        )

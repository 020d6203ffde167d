"""What the migration is not made for, as the catalogs tell it."""

from __future__ import annotations

from prefs.sql.names import literal, names, qualified
from prefs.sql.rights import KEPT_TABLES


def unsupported() -> str:
    """Tables that the protocol does not hold for, as far as they are there: (table, why).

    `distributed` are those that Citus manages, by their names with schema.
    """
    n = names()
    tables = ", ".join(
        literal(table)
        for table in (n.users, n.switches, n.samples, *(qualified(t) for t in KEPT_TABLES))
    )
    return f"""SELECT c.oid::regclass::text, w.why FROM unnest(ARRAY[{tables}]) t
    JOIN pg_class c ON c.oid = to_regclass(t), LATERAL (VALUES
      (c.relkind = 'p' OR c.relispartition, 'is partitioned'),
      (c.relkind = 'f', 'is a foreign table'),
      (c.relkind NOT IN ('r', 'p', 'f'), 'is no table'),
      (NOT c.relispartition AND EXISTS (SELECT FROM pg_inherits i
        WHERE c.oid IN (i.inhrelid, i.inhparent) AND c.relkind = 'r'), 'inherits, or is inherited'),
      (c.relpersistence = 'u', 'is unlogged: a crash empties it'),
      (c.relpersistence = 't', 'is temporary'),
      (c.oid = ANY(%(distributed)s::oid[]), 'is managed by Citus')) w(so, why)
    WHERE w.so ORDER BY 1, 2"""


def citus_catalog() -> str:
    """(Citus's table of the tables that it manages or NULL, whether this is a replica)."""
    return "SELECT to_regclass('pg_dist_partition')::text, pg_is_in_recovery()"


def distributed(table: str) -> str:
    """The tables that Citus manages: (oid)."""
    return f"SELECT logicalrelid::oid FROM {table}"

"""What a backfill will write, foretold from the rows that a few pages of users would make."""

from __future__ import annotations

from prefs.mapping import NOTIFICATION_TABLE, TOPICS, USER_TABLE
from prefs.sql.copying import differs, joined
from prefs.sql.documents import is_wanted
from prefs.sql.expressions import typed
from prefs.sql.names import literal, names, quote
from prefs.sql.writes import columns_of


def sample() -> str:
    """Some users of `percent` of all pages: one row of counts and mean sizes in bytes.

    (users, of them without typed rows, differing, user row, notification row, entries in the
    indexes on topics, users row). Sizes are of whole tuples with their headers.
    """
    n = names()
    topics = " + ".join(
        f"((t.{quote(leaf.column)}{is_wanted(leaf)}) IS TRUE)::int" for leaf in TOPICS.values()
    )

    def size(table: str) -> str:
        columns = ", ".join(f"t.{column}" for column in columns_of(table))
        return f"avg(pg_column_size(ROW(t.user_id, {columns})))"

    return f"""WITH s AS MATERIALIZED (
      SELECT u.{n.key} AS user_id, u.{n.blob} AS doc, pg_column_size(u.*) AS bytes,
        p.user_id IS NULL OR n.user_id IS NULL AS missing, {differs()} AS differs
      {joined().replace(n.users + " u", n.users + " u TABLESAMPLE SYSTEM (%(percent)s)")}
      LIMIT 5000),
    t AS MATERIALIZED ({typed("s")})
    SELECT count(*), coalesce(sum(s.missing::int), 0), coalesce(sum(s.differs::int), 0),
      coalesce({size(USER_TABLE)}, 0)::float, coalesce({size(NOTIFICATION_TABLE)}, 0)::float,
      coalesce(avg({topics}), 0)::float, coalesce(avg(s.bytes), 0)::float
    FROM s JOIN t USING (user_id)"""


def measured() -> str:
    """(bytes of the typed tables with indexes, of the users table, its heap, its indexes, WAL)."""
    n = names()
    return f"""SELECT pg_total_relation_size({literal(n.user_table)})
        + pg_total_relation_size({literal(n.notification_table)}),
      pg_total_relation_size({literal(n.users)}), pg_relation_size({literal(n.users)}),
      (SELECT count(*) FROM pg_index i WHERE i.indrelid = {literal(n.users)}::regclass),
      pg_current_wal_lsn() - '0/0'::pg_lsn"""

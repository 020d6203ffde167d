"""What makes, checks and removes the archive of the blobs."""

from __future__ import annotations

from prefs.sql.functions import DOCUMENT_TEXT
from prefs.sql.names import ARCHIVE_TABLE, DEPARTURE_TABLE, keyset, names, qualified

# A row's header, key, digest and line pointer, and its entry in the primary key.
_ROW_OVERHEAD = 80


def predicted_bytes() -> str:
    """About how many bytes an archive of `users` blobs takes, from a sample of the table."""
    n = names()
    return f"""SELECT (%(users)s * ({_ROW_OVERHEAD} + coalesce(avg(pg_column_size(u.{n.blob})), 0)))
      ::bigint
    FROM {n.users} u TABLESAMPLE SYSTEM (%(percent)s)"""


def digest(doc: str) -> str:
    """The digest of a document as an expression: 64 bits of its text.

    Of the value where the text cannot be built, and 0 for SQL NULL. The archive is made and
    checked by this one expression.
    """
    return (
        f"CASE WHEN {doc} IS NULL THEN 0 ELSE"
        f" coalesce(hashtextextended({qualified(DOCUMENT_TEXT)}({doc}), 0),"
        f" jsonb_hash_extended({doc}, 0)) END"
    )


def add_missing() -> str:
    """Archive the users of a key range who are not archived yet, in key order."""
    n = names()
    return f"""INSERT INTO {qualified(ARCHIVE_TABLE)} (user_id, document, digest)
    SELECT u.{n.key}, u.{n.blob}, {digest(f"u.{n.blob}")} FROM {n.users} u
    WHERE {keyset(f"u.{n.key}")}
    AND u.{n.key} <= %(upto)s::{n.key_type}
    AND NOT EXISTS (SELECT FROM {qualified(ARCHIVE_TABLE)} a WHERE a.user_id = u.{n.key})
    ORDER BY u.{n.key} ON CONFLICT (user_id) DO NOTHING"""


def empty() -> str:
    """Empty the archive, its departures as well. Takes ACCESS EXCLUSIVE on both."""
    return f"TRUNCATE {qualified(ARCHIVE_TABLE)}, {qualified(DEPARTURE_TABLE)}"


def totals() -> str:
    """(archived, departed, sum of both their digests, bytes), in one snapshot.

    A row that goes leaves its digest behind in the same transaction, so count and sum of both
    tables together stay what they were when the archive was made.
    """
    return f"""SELECT a.users, d.users, (a.digests + d.digests)::text,
      pg_total_relation_size('{qualified(ARCHIVE_TABLE)}')
    FROM (SELECT count(*) AS users, coalesce(sum(digest), 0) AS digests
        FROM {qualified(ARCHIVE_TABLE)}) a,
      (SELECT count(*) AS users, coalesce(sum(digest), 0) AS digests
        FROM {qualified(DEPARTURE_TABLE)}) d"""


def compared() -> str:
    """The next `size` archived users after key `after`, each digest made again.

    (the last key, how many users, the keys of those whose digest is another): one row.
    """
    return f"""WITH c AS MATERIALIZED (
      SELECT a.user_id, a.digest <> {digest("a.document")} AS wrong
      FROM {qualified(ARCHIVE_TABLE)} a
      WHERE {keyset("a.user_id")}
      ORDER BY a.user_id LIMIT %(size)s)
    SELECT (SELECT c.user_id FROM c ORDER BY c.user_id DESC LIMIT 1), count(*),
      coalesce(array_agg(c.user_id ORDER BY c.user_id) FILTER (WHERE c.wrong), '{{}}')
    FROM c"""

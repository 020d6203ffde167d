"""Merges into the documents of many users at once, with the tests of a merge into one."""

from __future__ import annotations

from functools import cache

from prefs.mapping import USER_TABLE
from prefs.routing import Route
from prefs.sql.copying import joined, upserts
from prefs.sql.expressions import document, same, typed
from prefs.sql.functions import DOCUMENT_TEXT, MERGE_PATCH, NOT_STORED
from prefs.sql.names import names, qualified
from prefs.sql.writes import marked, refusals


@cache
def merge(route: Route, table: str) -> str:
    """Merge patches into the documents of the locked `users`, or write nothing.

    Takes for each user what is merged where there is neither a row of theirs in `table` nor a
    document but `{}` (`inserts`, JSON text), and where there is one of them (`updates`; NULL
    leaves them alone); the leaves of these that failed a test that PostgreSQL cannot make
    (`unknown`, a JSON list); and `max_bytes`. Answers (user id, refused leaves, size, written): a
    row for each user whose document was merged into, or one row for the first, by key, whose new
    document is refused. Raises where a trigger of the site's kept a blob from being stored. What is
    refused, and the order of writes, are those of `writing`.
    """
    held = ", c.held" if route.writes_blob else ""
    parts = [
        _stored(route, "p" if table == USER_TABLE else "n"),
        f"""incoming AS MATERIALIZED (
      SELECT c.user_id, c.doc AS before, c.unknown{held},
        {qualified(MERGE_PATCH)}(c.doc, c.patch) AS doc
      FROM (SELECT s.*, CASE WHEN s.has_row OR s.doc IS DISTINCT FROM '{{}}' THEN s.updates
        ELSE s.inserts END AS patch FROM stored s) c WHERE c.patch IS NOT NULL)""",
        f"fitted AS MATERIALIZED ({typed('incoming', 'before', 'unknown', 'doc')})",
        f"refused AS MATERIALIZED ({_refused()})",
        f"too_large AS MATERIALIZED ({_too_large()})",
        f"bad AS MATERIALIZED ({_first_bad()})",
        f"""changed AS MATERIALIZED (SELECT c.user_id, c.doc{held} FROM incoming c
      WHERE NOT EXISTS (SELECT FROM bad))""",
    ]
    source = "changed"
    if route.writes_blob:
        parts.append(f"blob AS ({_update_blob()})")
        source = "(SELECT c.* FROM changed c WHERE (SELECT count(*) FROM blob) >= 0)"
    answer = f"""a.* FROM (SELECT b.*, false FROM bad b
      UNION ALL SELECT c.user_id, NULL, NULL, {_written(route)}) a"""
    if route.reads_tables:
        return f"WITH {', '.join(parts)}, {upserts(source, answer)}"
    return f"WITH {', '.join(parts)} SELECT {answer}"


def _stored(route: Route, row: str) -> str:
    """What comes in, with the document that is stored, and whether the user has that typed row."""
    n = names()
    stored, mark = f"u.{n.blob}", ""
    held = f", u.{n.blob} AS held" if route.writes_blob else ""
    if route.reads_tables:
        stored, mark = document("p", "n"), f" AND {marked()}"
    return f"""given AS MATERIALIZED (SELECT * FROM unnest(%(users)s::{n.key_type}[],
      %(inserts)s::text[]::jsonb[], %(updates)s::text[]::jsonb[], %(unknown)s::text[]::jsonb[])
      g(user_id, inserts, updates, unknown)),
    stored AS MATERIALIZED (
      SELECT g.*, {stored} AS doc, {row}.user_id IS NOT NULL AS has_row{held}
      {joined()} JOIN given g ON g.user_id = u.{n.key}
      WHERE u.{n.key} = ANY(%(users)s::{n.key_type}[]){mark} ORDER BY u.{n.key})"""


def _refused() -> str:
    entries = refusals("f.before", "f.doc", "f.residue", "f.unknown ? k.leaf")
    return f"SELECT f.user_id, e.leaf, e.value, e.expected FROM fitted f, {entries}"


def _too_large() -> str:
    """Documents that have grown past `max_bytes`, or whose text cannot be built."""
    size = "octet_length(s.body)"
    return f"""SELECT s.user_id, {size} AS size
      FROM (SELECT i.*, {qualified(DOCUMENT_TEXT)}(i.doc) AS body FROM incoming i OFFSET 0) s
      WHERE s.doc IS NOT NULL AND ({size} <= %(max_bytes)s
        OR {size} <= octet_length({qualified(DOCUMENT_TEXT)}(s.before))) IS NOT TRUE"""


def _first_bad() -> str:
    return """SELECT b.user_id, (SELECT jsonb_agg(jsonb_build_object('leaf', r.leaf,
        'value', r.value::text, 'expected', r.expected) ORDER BY r.leaf)
        FROM refused r WHERE r.user_id = b.user_id)::text AS refused,
        (SELECT l.size FROM too_large l WHERE l.user_id = b.user_id) AS size
      FROM (SELECT user_id FROM refused UNION SELECT user_id FROM too_large) b
      ORDER BY b.user_id LIMIT 1"""


def _update_blob() -> str:
    n = names()
    return f"""UPDATE {n.users} u SET {n.blob} = c.doc FROM changed c
      WHERE u.{n.key} = c.user_id AND NOT ({same("c.held", "c.doc")})
      RETURNING u.{n.key} AS user_id, u.{n.blob} AS doc"""


def _written(route: Route) -> str:
    """Whether that user's document was written, and FROM; raises where a trigger kept it."""
    if not route.writes_blob:
        return "true FROM changed c"
    kept = "b.user_id IS NOT NULL"
    if route.reads_tables:
        kept += f" AND {same('b.doc', 'c.doc')}"
    return f"""CASE WHEN {same("c.held", "c.doc")} OR {kept} THEN true
      ELSE {qualified(NOT_STORED)}(c.user_id::text) END
      FROM changed c LEFT JOIN blob b ON b.user_id = c.user_id"""

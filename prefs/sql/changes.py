"""Changes to the documents of many users at once, each to what is stored under the lock.

A change is a tree in JSON, so that every difference between two documents can be said in it:
an object goes into the object of that name, `[value]` sets, `null` removes, and at the root
`[]` is SQL NULL. What it does not name stays as it is.
"""

from __future__ import annotations

from functools import cache

from prefs.mapping import USER_TABLE
from prefs.routing import Route
from prefs.sql.copying import joined, upserts
from prefs.sql.expressions import document, same, typed
from prefs.sql.functions import CHANGED, DOCUMENT_TEXT, MERGE_PATCH
from prefs.sql.names import names
from prefs.sql.writes import marked, refusals


@cache
def change(route: Route) -> str:
    """Apply `changes` (JSON texts) to the locked `users`: (user id, text of the document).

    The values are not tested against their domains: what fits no column stays in the residue.
    Writes go in one order: users, then the two tables.
    """
    given = _given("changes::text[]::jsonb[]")
    changed = f"""changed AS MATERIALIZED (
      SELECT s.user_id, {CHANGED}(s.doc, s.changes) AS doc FROM stored s)"""
    answer = f"s.user_id, {DOCUMENT_TEXT}(s.doc) FROM changed s"
    return _written(route, [given, _stored(route), changed], answer)


@cache
def merge(route: Route, table: str) -> str:
    """Merge patches into the documents of the locked `users`, or write nothing.

    Takes for each user what is merged where there is neither a row of theirs in `table` nor a
    document but `{}` (`inserts`, JSON text), and where there is one of them (`updates`; NULL
    leaves them alone); the leaves of these that failed a test that PostgreSQL cannot make
    (`unknown`, a JSON list); and `max_bytes`. Answers (user id, refused leaves, size, written): a
    row for each user whose document was merged into, or one row for the first, by key, whose new
    document is refused. What is refused, and the order of writes, are those of `writing`.
    """
    row = "p" if table == USER_TABLE else "n"
    here = f"{row}.user_id IS NOT NULL AS has_row"
    parts = [
        _given("inserts::text[]::jsonb[]", "updates::text[]::jsonb[]", "unknown::text[]::jsonb[]"),
        _stored(route, here),
        f"""incoming AS MATERIALIZED (
      SELECT c.user_id, c.doc AS before, c.unknown, {MERGE_PATCH}(c.doc, c.patch) AS doc
      FROM (SELECT s.*, CASE WHEN s.has_row OR s.doc IS DISTINCT FROM '{{}}' THEN s.updates
        ELSE s.inserts END AS patch FROM stored s) c WHERE c.patch IS NOT NULL)""",
        f"fitted AS MATERIALIZED ({typed('incoming', 'before', 'unknown', 'doc')})",
        f"refused AS MATERIALIZED ({_refused()})",
        f"sized AS MATERIALIZED ({_too_large()})",
        """bad AS MATERIALIZED (
      SELECT b.user_id, (SELECT jsonb_agg(jsonb_build_object('leaf', r.leaf,
        'value', r.value::text, 'expected', r.expected) ORDER BY r.leaf)
        FROM refused r WHERE r.user_id = b.user_id)::text AS refused,
        (SELECT s.size FROM sized s WHERE s.user_id = b.user_id) AS size
      FROM (SELECT user_id FROM refused UNION SELECT user_id FROM sized) b
      ORDER BY b.user_id LIMIT 1)""",
        """changed AS MATERIALIZED (SELECT i.user_id, i.doc FROM incoming i
      WHERE NOT EXISTS (SELECT FROM bad))""",
    ]
    answer = """a.* FROM (SELECT b.*, false FROM bad b
      UNION ALL SELECT c.user_id, NULL, NULL, true FROM changed c) a"""
    return _written(route, parts, answer)


def _given(*arrays: str) -> str:
    """What comes in, an array for each of its columns, named with its type."""
    columns = ", ".join(array.partition("::")[0] for array in arrays)
    values = ", ".join(f"%({name})s::{kind}" for name, kind in (a.split("::", 1) for a in arrays))
    return f"""given AS MATERIALIZED (SELECT * FROM
      unnest(%(users)s::{names().key_type}[], {values}) g(user_id, {columns}))"""


def _stored(route: Route, *more: str) -> str:
    """What comes in, with the document that is stored."""
    n = names()
    stored, mark = f"u.{n.blob}", ""
    if route.reads_tables:
        stored, mark = document("p", "n"), f" AND {marked()}"
    return f"""stored AS MATERIALIZED (
      SELECT {", ".join(("g.*", f"{stored} AS doc", *more))}
      {joined()} JOIN given g ON g.user_id = u.{n.key}
      WHERE u.{n.key} = ANY(%(users)s::{n.key_type}[]){mark} ORDER BY u.{n.key})"""


def _refused() -> str:
    entries = refusals("f.before", "f.doc", "f.residue", "f.unknown ? k.leaf")
    return f"SELECT f.user_id, e.leaf, e.value, e.expected FROM fitted f, {entries}"


def _too_large() -> str:
    """Documents that have grown past `max_bytes`, or whose text cannot be built."""
    size = "octet_length(s.body)"
    return f"""SELECT s.user_id, {size} AS size
      FROM (SELECT i.*, {DOCUMENT_TEXT}(i.doc) AS body FROM incoming i OFFSET 0) s
      WHERE s.doc IS NOT NULL AND ({size} <= %(max_bytes)s
        OR {size} <= octet_length({DOCUMENT_TEXT}(s.before))) IS NOT TRUE"""


def _written(route: Route, parts: list[str], answer: str) -> str:
    """The statement that makes each document of `changed`, (user_id, doc), the user's."""
    n = names()
    source = "changed"
    if route.writes_blob:
        parts.append(f"""blob AS (UPDATE {n.users} u SET {n.blob} = c.doc FROM changed c
      WHERE u.{n.key} = c.user_id AND NOT ({same(f"u.{n.blob}", "c.doc")}) RETURNING 1)""")
        source = "(SELECT c.* FROM changed c WHERE (SELECT count(*) FROM blob) >= 0)"
    if route.reads_tables:
        return f"WITH {', '.join(parts)}, {upserts(source, answer)}"
    return f"WITH {', '.join(parts)} SELECT {answer}"

"""Changes to the documents of many users at once, each to what is stored under the lock.

A change is a tree in JSON, so that every difference between two documents can be said in it:
an object goes into the object of that name, `[value]` sets, `null` removes, and at the root
`[]` is SQL NULL. What it does not name stays as it is.
"""

from __future__ import annotations

from functools import cache

from prefs.routing import Route
from prefs.sql.copying import joined, upserts
from prefs.sql.expressions import document, same
from prefs.sql.functions import CHANGED, DOCUMENT_TEXT, NOT_STORED
from prefs.sql.names import names, qualified
from prefs.sql.writes import marked


def changer(route: Route) -> str:
    """The name of the function that changes documents on this route."""
    return f"prefs_change_{route.name.lower()}"


@cache
def change(route: Route) -> str:
    """Apply `changes` (JSON texts) to the locked `users`: (user id, text of the document).

    In `TABLES` it locks their typed rows first, which raw SQL may write without the users' locks.
    """
    key = names().key_type
    return f"""SELECT * FROM {qualified(changer(route))}(
      %(users)s::{key}[], %(changes)s::text[])"""


@cache
def changing(route: Route) -> str:
    """The statement that `change` stands for.

    The text is what this statement stored, also where a BEFORE trigger of the site's altered the
    blob. Raises where such a trigger kept it from being stored; or, where the tables are the
    primary, had another one stored than they have.

    The values are not tested against their domains: what fits no column stays in the residue.
    Writes go in one order: users, then the two tables.
    """
    n = names()
    stored, mark, doc = f"u.{n.blob}", "", "s.doc"
    if route.reads_tables:
        stored, mark = document("p", "n"), f" AND {marked()}"
    held = f", u.{n.blob} AS held" if route.writes_blob else ""
    parts = [
        f"""given AS MATERIALIZED (SELECT * FROM
      unnest(%(users)s::{n.key_type}[], %(changes)s::text[]::jsonb[]) g(user_id, change))""",
        f"""changed AS MATERIALIZED (
      SELECT u.{n.key} AS user_id, {qualified(CHANGED)}({stored}, g.change) AS doc{held}
      {joined()} JOIN given g ON g.user_id = u.{n.key}
      WHERE u.{n.key} = ANY(%(users)s::{n.key_type}[]){mark} ORDER BY u.{n.key})""",
    ]
    source = "changed"
    if route.writes_blob:
        parts.append(f"""blob AS (UPDATE {n.users} u SET {n.blob} = c.doc FROM changed c
      WHERE u.{n.key} = c.user_id AND NOT ({same("c.held", "c.doc")})
      RETURNING u.{n.key} AS user_id, u.{n.blob} AS doc)""")
        source = "(SELECT c.* FROM changed c WHERE (SELECT count(*) FROM blob) >= 0)"
        otherwise = f" OR NOT {same('b.doc', 's.doc')}" if route.reads_tables else ""
        doc = f"""CASE WHEN {same("s.held", "s.doc")} THEN s.doc
      WHEN b.user_id IS NULL{otherwise} THEN to_jsonb({qualified(NOT_STORED)}(s.user_id::text))
      ELSE b.doc END"""
    answer = f"s.user_id, {qualified(DOCUMENT_TEXT)}({doc}) FROM changed s"
    if route.writes_blob:
        answer += " LEFT JOIN blob b ON b.user_id = s.user_id"
    if route.reads_tables:
        return f"WITH {', '.join(parts)}, {upserts(source, answer)}"
    return f"WITH {', '.join(parts)} SELECT {answer}"

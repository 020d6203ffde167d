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
from prefs.sql.functions import CHANGED, DOCUMENT_TEXT
from prefs.sql.names import names
from prefs.sql.writes import marked


@cache
def change(route: Route) -> str:
    """Apply `changes` (JSON texts) to the locked `users`: (user id, text of the document).

    The values are not tested against their domains: what fits no column stays in the residue.
    Writes go in one order: users, then the two tables.
    """
    n = names()
    stored, mark = f"u.{n.blob}", ""
    if route.reads_tables:
        stored, mark = document("p", "n"), f" AND {marked()}"
    parts = [
        f"""given AS MATERIALIZED (SELECT * FROM
      unnest(%(users)s::{n.key_type}[], %(changes)s::text[]::jsonb[]) g(user_id, change))""",
        f"""changed AS MATERIALIZED (
      SELECT u.{n.key} AS user_id, {CHANGED}({stored}, g.change) AS doc
      {joined()} JOIN given g ON g.user_id = u.{n.key}
      WHERE u.{n.key} = ANY(%(users)s::{n.key_type}[]){mark} ORDER BY u.{n.key})""",
    ]
    source = "changed"
    if route.writes_blob:
        parts.append(f"""blob AS (UPDATE {n.users} u SET {n.blob} = c.doc FROM changed c
      WHERE u.{n.key} = c.user_id AND NOT ({same(f"u.{n.blob}", "c.doc")}) RETURNING 1)""")
        source = "(SELECT c.* FROM changed c WHERE (SELECT count(*) FROM blob) >= 0)"
    answer = f"s.user_id, {DOCUMENT_TEXT}(s.doc) FROM changed s"
    if route.reads_tables:
        return f"WITH {', '.join(parts)}, {upserts(source, answer)}"
    return f"WITH {', '.join(parts)} SELECT {answer}"

"""The mapped parts of one document, for a page that shows them one by one.

From its text: Python may not be able to decode a document, and PostgreSQL always can.
"""

from __future__ import annotations

from functools import cache

from prefs.mapping import LEAVES, inner_nodes
from prefs.sql.expressions import path_literal, typed_value
from prefs.sql.names import literal

SHOWN = 300


@cache
def parts() -> str:
    """Of the document `text` (NULL for SQL NULL): (dotted, JSON text, characters, fits).

    A row for each leaf that is there, and for each parent of leaves that is there and no object;
    "" names the document itself. The text is whole where it fits the leaf, else its beginning.
    """
    rows = [
        (node.dotted, f"CASE WHEN jsonb_typeof({at}) <> 'object' THEN {at} END", "FALSE")
        for node in inner_nodes()
        for at in [_at(node.path)]
    ]
    rows += [
        (leaf.dotted, at, f"({typed_value(leaf.domain, at)}) IS NOT NULL")
        for leaf in LEAVES
        for at in [_at(leaf.path)]
    ]
    values = ",\n  ".join(f"({literal(name)}, {value}, {fits})" for name, value, fits in rows)
    return f"""SELECT p.name, CASE WHEN p.fits THEN t.text ELSE left(t.text, {SHOWN}) END,
    char_length(t.text), p.fits
  FROM (SELECT %(text)s::jsonb AS doc OFFSET 0) d, LATERAL (VALUES
  {values}) p(name, value, fits), LATERAL (SELECT p.value::text AS text OFFSET 0) t
  WHERE p.value IS NOT NULL"""


def _at(path: tuple[str, ...]) -> str:
    return f"(d.doc #> {path_literal(path)})" if path else "d.doc"

"""What the quarantine runs: count and list its entries, find who has one, look again under lock.

An entry is a mapped leaf that a residue holds, or a parent of leaves that is not an object.
Each statement takes `leaf`, `reason` and `value` (JSON text), by which entries are chosen;
NULL is any.
"""

from __future__ import annotations

import enum

from prefs.mapping import LEAVES, inner_nodes
from prefs.routing import Route
from prefs.sql.copying import joined
from prefs.sql.expressions import document, quarantined, same, typed
from prefs.sql.functions import DOCUMENT_TEXT
from prefs.sql.names import keyset, literal, names, qualified

SHOWN = 80


class Reason(enum.StrEnum):
    """Why a value is in quarantine, in a word."""

    NULL = "null"
    """It is an explicit null, where "not set" is said by leaving the leaf out."""

    TYPE = "type"
    """Its JSON type is another one: "true" where true or false is expected."""

    DOMAIN = "domain"
    """It is outside its domain, or not written as the column gives it back: 10.0."""

    PARENT = "parent"
    """It stands in the place of an object of leaves and is none."""


def _reason() -> str:
    types: dict[str, list[str]] = {}
    for leaf in LEAVES:
        types.setdefault(leaf.domain.json_type, []).append(literal(leaf.dotted))
    expected = " ".join(
        f"WHEN q.leaf IN ({', '.join(leaves)}) THEN {literal(json_type)}"
        for json_type, leaves in types.items()
    )
    parents = ", ".join(literal(node.dotted) for node in inner_nodes())
    return f"""(CASE WHEN q.leaf IN ({parents}) THEN '{Reason.PARENT}'
      WHEN q.value = 'null' THEN '{Reason.NULL}'
      WHEN jsonb_typeof(q.value) <> CASE {expected} END THEN '{Reason.TYPE}'
      ELSE '{Reason.DOMAIN}' END)"""


def _chosen() -> str:
    return f"""(%(leaf)s::text IS NULL OR q.leaf = %(leaf)s::text)
      AND (%(reason)s::text IS NULL OR {_reason()} = %(reason)s::text)
      AND (%(value)s::text IS NULL OR {same("q.value", "%(value)s::jsonb")})"""


def _entries() -> str:
    n = names()
    return f"""FROM {n.user_table} p, LATERAL ({quarantined(f"p.{n.residue}")}) q
    WHERE p.{n.residue} IS NOT NULL AND {_chosen()}
    AND (%(user)s::{n.key_type} IS NULL OR p.user_id = %(user)s::{n.key_type})"""


# One character more than is shown tells that there are more; NULL is a text too long to show.
_TEXT = f"left({qualified(DOCUMENT_TEXT)}(q.value), {SHOWN + 1})"
# A sample out of everybody's values is a small one: 2.5 KB of jsonb can be 1 GB of text.
_SMALL = f"CASE WHEN pg_column_size(q.value) <= 500 THEN left(q.value::text, {SHOWN + 1}) END"


def counts() -> str:
    """Entries over all users, or of `user`: (leaf, reason, how many, one small value or NULL).

    The leaf that most users have comes first.
    """
    return f"""SELECT q.leaf, {_reason()} AS reason, count(*), min(({_SMALL}) COLLATE "C")
    {_entries()} GROUP BY 1, 2
    ORDER BY sum(count(*)) OVER (PARTITION BY q.leaf) DESC, 1, 3 DESC, 2"""


def listed() -> str:
    """Entries in key order after key `after`: (user id, leaf, value, reason, expected).

    `limit` of them, and what else the last user has.
    """
    return f"""SELECT e.* FROM (
      SELECT p.user_id, q.leaf, {_TEXT} AS value, {_reason()} AS reason, q.expected {_entries()}
      AND {keyset("p.user_id")}
      ORDER BY p.user_id FETCH FIRST (%(limit)s) ROWS WITH TIES) e
    ORDER BY e.user_id, e.leaf"""


def holders() -> str:
    """The users of the key range (`after`, `upto`] who have an entry, or `user`: (user id)."""
    n = names()
    return f"""SELECT DISTINCT p.user_id {_entries()}
    AND {keyset("p.user_id")}
    AND (%(upto)s::{n.key_type} IS NULL OR p.user_id <= %(upto)s::{n.key_type})"""


def still_holders(route: Route) -> str:
    """Those of the locked users `ids` who have an entry in the primary's document: (user id).

    A residue is a copy where the blob is the primary, and was read before the lock.
    """
    n = names()
    stored = document("p", "n") if route.reads_tables else f"u.{n.blob}"
    source = f"""(SELECT u.{n.key} AS user_id, {stored} AS doc {joined()}
      WHERE u.{n.key} = ANY(%(ids)s::{n.key_type}[]))"""
    return f"""WITH typed AS MATERIALIZED ({typed(source)})
    SELECT DISTINCT t.user_id FROM typed t, LATERAL ({quarantined(f"t.{n.residue}")}) q
    WHERE {_chosen()}"""


def misfits() -> str:
    """What of a new `document` would be in quarantine: (leaf, value, expected)."""
    source = "(SELECT 0 AS user_id, %(document)s::jsonb AS doc)"
    return f"""WITH typed AS MATERIALIZED ({typed(source)})
    SELECT q.leaf, {_TEXT}, q.expected
    FROM typed t, LATERAL ({quarantined(f"t.{names().residue}")}) q ORDER BY q.leaf"""

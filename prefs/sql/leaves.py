"""Parts of a document in a statement of Django's, without building the whole document.

A path of keys is a mapped leaf (or below one), or outside the mapping, or an inner object. The
first two need one column or the residue; an inner object needs the document. What is rendered
here holds the keys that a caller gave as parameters, and the names of the mapping as literals.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from prefs.mapping import LEAVES, RESIDUE_COLUMN, TOP_NAMES, TREE, USER_TABLE, Leaf, Node
from prefs.routing import DUAL_WRITE, READ_TABLES
from prefs.sql.documents import gone, switch, tables_document
from prefs.sql.expressions import at, json_value, path_literal
from prefs.sql.functions import SWITCH_MISSING
from prefs.sql.names import names, qualified, quote

Sql = tuple[str, tuple[Any, ...]]

_LEAF_AT = {leaf.path: leaf for leaf in LEAVES}


@cache
def reads_tables() -> str:
    """Whether the tables are read: asked once a statement; a missing switch is an error."""
    return f"""(SELECT CASE WHEN s.dual_write IS NULL OR s.read_tables IS NULL
      THEN {qualified(SWITCH_MISSING)}() IS NULL ELSE s.read_tables END
      FROM (SELECT {switch(DUAL_WRITE)} AS dual_write, {switch(READ_TABLES)} AS read_tables
      OFFSET 0) s)"""


def node_at(keys: Sequence[str]) -> Node | None:
    """The inner object at these keys; the document itself where there are none."""
    node = TREE
    for key in keys:
        found = next((child for child in node.nodes if child.name == key), None)
        if found is None:
            return None
        node = found
    return node


def leaf_at(keys: Sequence[str]) -> tuple[Leaf, list[str]] | None:
    """The leaf at or above these keys, and the keys below it."""
    for depth in range(1, len(keys) + 1):
        if leaf := _LEAF_AT.get(tuple(keys[:depth])):
            return leaf, list(keys[depth:])
    return None


def is_outside(keys: Sequence[str]) -> bool:
    """Whether these keys lead out of the mapping, so that the residue has what is there.

    Not where a number leads out: it may be the place of an item in an array.
    """
    for depth, key in enumerate(keys, 1):
        if _is_number(key) or leaf_at(keys[:depth]):
            return False
        if node_at(keys[:depth]) is None:
            return True
    return False


def _is_number(key: str) -> bool:
    try:
        int(key)
    except ValueError:
        return False
    return True


def leaf_json(leaf: Leaf, row: str) -> str:
    """The column of a leaf as jsonb; NULL where it is not set."""
    return f"to_jsonb({json_value(leaf, row)})"


def row_of(leaf: Leaf) -> str:
    """The alias of the row that holds a leaf, wherever one is named here."""
    return "p" if leaf.table == USER_TABLE else "n"


def residue_at(path: Sequence[str]) -> str:
    """What the residue of the row `p` has at a path of the mapping."""
    return at(f"p.{quote(RESIDUE_COLUMN)}", path)


@cache
def quarantined_rows() -> str:
    """The condition, on the row `p`, that something is quarantined; it has a partial index."""
    return f"p.{quote(RESIDUE_COLUMN)} ?| {path_literal(TOP_NAMES)}::text[]"


def below(value: str, rest: Sequence[str]) -> Sql:
    """`value`, or what it has at the further keys."""
    return (f"({value} #> %s)", (list(rest),)) if rest else (value, ())


# --- as a scalar ---------------------------------------------------------------------


def scalar(key: str, keys: Sequence[str]) -> Sql | None:
    """What the document of the user with this key has at `keys`, by route; None for an object.

    `key` is an expression of the statement around it.
    """
    n = names()
    if found := leaf_at(keys):
        typed, parameters = below(_stored(found[0], key), found[1])
    elif is_outside(keys):
        residue, parameters = below(f"p.{n.residue}", keys)
        typed = f"(SELECT {residue} FROM {n.user_table} p WHERE p.user_id = {key})"
    else:
        return None
    blob = f"""(SELECT (SELECT {n.blob} #> %s FROM {n.users} x WHERE x.{n.key} = {key})
      FROM {gone()})"""
    sql = f"CASE WHEN {reads_tables()} THEN {typed} ELSE {blob} END"
    return f"({sql})", (*parameters, list(keys))


def _stored(leaf: Leaf, key: str) -> str:
    """The leaf of one user in the tables: its column, else what is quarantined."""
    n, value, residue = names(), leaf_json(leaf, row_of(leaf)), residue_at(leaf.path)
    if leaf.table == USER_TABLE:
        return f"""(SELECT COALESCE({value}, {residue}) FROM {n.user_table} p
        WHERE p.user_id = {key})"""
    return f"""COALESCE((SELECT {value} FROM {n.notification_table} n WHERE n.user_id = {key}),
      (SELECT {residue} FROM {n.user_table} p WHERE p.user_id = {key}
       AND {quarantined_rows()}))"""


# --- over everybody ------------------------------------------------------------------


def blob_value(*, guarded: bool) -> str:
    """The blob of a row of users.

    Where the column is gone the name stands for an error. `guarded` is for a statement in which
    the tables are searched too: no condition beside this one keeps it from being evaluated.
    """
    blob = names().blob
    return f"(CASE WHEN {reads_tables()} THEN NULL ELSE {blob} END)" if guarded else blob


def single_document(said: Sequence[Leaf]) -> str:
    """The document of a row `p` with no column set but those of some leaves: few need building.

    Without these it is the residue, as far as an inner object with no other column is asked for.
    """
    built = f"(SELECT {tables_document('o.key')} FROM (SELECT p.user_id AS key) o)"
    return f"(CASE WHEN {any_set_by_row(said)} THEN {built} ELSE {residue_at(())} END)"


def leaf_value(leaf: Leaf) -> str:
    """A leaf in the rows `p` and `n`: its column, else what is quarantined."""
    return f"COALESCE({leaf_json(leaf, row_of(leaf))}, {residue_at(leaf.path)})"


def leaf_value_of_row(leaf: Leaf) -> str:
    """The same by the row `p`, where few of them are asked: the other row is looked up."""
    value = leaf_json(leaf, row_of(leaf))
    if leaf.table != USER_TABLE:
        value = f"(SELECT {value} FROM {names().notification_table} n WHERE n.user_id = p.user_id)"
    return f"COALESCE({value}, {residue_at(leaf.path)})"


def leaves_below(node: Node) -> tuple[Leaf, ...]:
    """The leaves in an inner object and in the objects in it."""
    depth = len(node.path)
    return tuple(leaf for leaf in LEAVES if leaf.path[:depth] == node.path)


def any_set(leaves: Sequence[Leaf]) -> str:
    """Whether the column of one of these is set."""
    columns = [f"{row_of(leaf)}.{quote(leaf.column)} IS NOT NULL" for leaf in leaves]
    return f"({' OR '.join(columns or ['false'])})"


def any_set_by_row(leaves: Sequence[Leaf]) -> str:
    """The same, naming `p` alone: the other row is looked at where this one has none of them."""
    here = any_set([leaf for leaf in leaves if leaf.table == USER_TABLE])
    others = [leaf for leaf in leaves if leaf.table != USER_TABLE]
    if not others:
        return here
    there = f"{names().notification_table} n WHERE n.user_id = p.user_id AND {any_set(others)}"
    return f"({here} OR EXISTS (SELECT FROM {there}))"


def any_set_of(node: Node, leaves: Sequence[Leaf]) -> str:
    """The same for leaves below an inner object; for those of the root, naming `p` alone."""
    return any_set(leaves) if node.path else any_set_by_row(leaves)


def is_there(node: Node) -> str:
    """Whether the rows have anything at an inner object: for the root, a document at all."""
    return f"({residue_at(node.path)} IS NOT NULL OR {any_set_of(node, leaves_below(node))})"


def of_rows(named: Collection[str], condition: str) -> str:
    """The users of typed rows that a condition on the rows `named` holds for.

    It may name `p` and `n`; every user that was copied has both.
    """
    n = names()
    key, source = ("n", f"{n.notification_table} n")
    if set(named) != {"n"}:
        key, source = "p", f"{n.user_table} p"
        if "n" in named:
            source += f" LEFT JOIN {n.notification_table} n ON n.user_id = p.user_id"
    return f"SELECT {key}.user_id FROM {source} WHERE {condition}"


def of_quarantined_rows(condition: str) -> str:
    """The same of rows `p` where something is quarantined, by their index."""
    return of_rows("p", f"{quarantined_rows()} AND ({condition})")


def first(users: str, wanted: int, *, descending: bool) -> str:
    """The first so many of those users, by key."""
    order = "DESC" if descending else "ASC"
    return f"(SELECT f.id FROM ({users}) f(id) ORDER BY f.id {order} LIMIT {wanted:d})"


def not_after(quarantined: str, users: str, wanted: int, *, descending: bool) -> str:
    """A search of quarantined rows that ends where so many other `users` were found.

    Where there are fewer it ends at the last user: a bound in any case, for the index.
    """
    n = names()
    order, back, operator = ("DESC", "ASC", ">=") if descending else ("ASC", "DESC", "<=")
    return f"""{quarantined} AND p.user_id {operator} COALESCE(
      (SELECT f.id FROM ({users}) f(id) ORDER BY f.id {order} OFFSET {wanted - 1:d} LIMIT 1),
      (SELECT e.user_id FROM {n.user_table} e ORDER BY e.user_id {back} LIMIT 1))"""


def of_nobodys_rows(condition: str) -> str:
    """The users that were not copied: their document is `{}`."""
    n = names()
    return f"""SELECT x.{n.key} FROM {n.users} x WHERE ({condition})
      AND NOT EXISTS (SELECT FROM {n.user_table} p WHERE p.user_id = x.{n.key})"""


def of_blobs(condition: str) -> str:
    """The users of blobs that a condition holds for."""
    n = names()
    return f"SELECT x.{n.key} FROM {n.users} x WHERE {condition}"


def among(key: str, blobs: Sequence[str], rows: Sequence[str]) -> str:
    """Whether a key is of one of these users, of blobs or of rows by route.

    All of them are found first, then looked up.
    """
    of_blobs, of_rows = (_union(arms) for arms in (blobs, rows))
    return f"""{key} = ANY(CASE WHEN {reads_tables()} THEN ARRAY({of_rows})
      ELSE ARRAY(SELECT b.id FROM {gone()} CROSS JOIN LATERAL ({of_blobs}) b(id)) END)"""


def exists(key: str, blobs: Sequence[str], rows: Sequence[str]) -> str:
    """The same for the planner to choose how: by a hash of them, or one user after the other.

    IS TRUE keeps it from a join, for which it would take the users found to be 200.
    """
    union = _union([*blobs, *rows])
    return f"""((EXISTS (SELECT FROM {gone()} CROSS JOIN LATERAL ({union}) q(user_id)
      WHERE q.user_id = {key})) IS TRUE)"""


def _union(arms: Sequence[str]) -> str:
    nobody = f"SELECT NULL::{names().key_type} WHERE false"
    return " UNION ALL ".join(arms or [nobody])


def in_route(condition: str, *, blob: bool) -> str:
    """A condition, where the route is that of its store."""
    return f"{'NOT ' if blob else ''}{reads_tables()} AND {condition}"


def seldom(condition: str) -> str:
    """A condition of which the planner expects that it holds for one row in 200.

    A hash of users is refused by what it is expected to hold; the other way, user by user,
    takes ten times as long.
    """
    return f"(CASE WHEN {condition} THEN 1 END) = 1"

"""The mapping as SQL expressions: blob to typed columns and residue, and back.

The invariant everything rests on: `document(typed(blob))` is the same jsonb as `blob`,
byte for byte, for every value PostgreSQL can store, SQL NULL included. A leaf is taken
into its column only where the column gives back exactly the same JSON; all else stays in
the residue, unchanged. Nothing here turns a whole document into text (a small document of
huge numbers has a text that PostgreSQL cannot build), and nothing can raise: `CASE` keeps
every cast behind the test that makes it safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from prefs.domains import Choice, ClockTime, Domain, Flag, Shape, WholeNumber
from prefs.mapping import (
    LEAVES,
    NOTIFICATION_TABLE,
    RESIDUE_COLUMN,
    TREE,
    USER_TABLE,
    Leaf,
    Node,
    inner_nodes,
)
from prefs.sql.functions import DOCUMENT_TEXT, MERGE_PATCH
from prefs.sql.names import literal, qualified, quote


def path_literal(path: Sequence[str]) -> str:
    """A jsonb path as an SQL array literal; the names of the mapping need no quoting."""
    return literal("{" + ",".join(path) + "}")


def same(left: str, right: str) -> str:
    """Whether two jsonb values are the same bytes, NULLs included (jsonb `=` has 1 = 1.0)."""
    return f"record_image_eq(ROW({left}), ROW({right}))"


# --- blob to tables ------------------------------------------------------------------


def typed_value(domain: Domain, value: str) -> str:
    """The typed column's value for the jsonb expression `value`, NULL where it does not fit."""
    text = f"({value} #>> '{{}}')"
    match domain:
        case Flag():
            return f"CASE {value} WHEN 'true'::jsonb THEN true WHEN 'false'::jsonb THEN false END"
        case Choice():
            # jsonb equality is exact for strings, and needs no text.
            whens = " ".join(
                f"""WHEN '"{choice}"'::jsonb THEN {literal(choice)}""" for choice in domain.values
            )
            return f"CASE {value} {whens} END"
        case WholeNumber():
            fits = f"{text}::integer BETWEEN {domain.minimum} AND {domain.maximum}"
            result = f"CASE WHEN {fits} THEN {text}::integer END"
            shape = f"{text} ~ '^-?[0-9]{{1,9}}$'"
        case Shape():
            result = text
            shape = f"{text} ~ {literal(domain.pattern)}"
            shape += f" AND char_length({text}) <= {domain.max_length}"
        case ClockTime():
            result = f"{text}::time"
            shape = f"{text} ~ {literal(domain.pattern)}"
        case _:
            assert_never(domain)
    tested = f"CASE WHEN {shape} THEN {result} END"
    return f"CASE WHEN jsonb_typeof({value}) = {literal(domain.json_type)} THEN {tested} END"


def _alias(node: Node) -> str:
    return quote("_".join(("at", *node.path)))


def typed(source: str, *carried: str) -> str:
    """A SELECT of (user_id, typed columns, residue) for `source`, a table (user_id, doc).

    Columns of `source` that are `carried` come along.
    """
    return f"""SELECT t.*, {_residue(TREE)} AS {quote(RESIDUE_COLUMN)}
    FROM ({_columns(source, *carried)}) t"""


def typed_whole(doc: str) -> str:
    """A SELECT of (typed columns, `whole`), one row: whether the columns hold all that `doc` says.

    That is where `typed` finds no residue, and costs less to ask.
    """
    whole = " AND ".join(f"({_is_taken(node)})" for node in inner_nodes())
    return f"""SELECT t.*, {whole} AS whole
    FROM ({_columns(f"(SELECT NULL AS user_id, {doc} AS doc)")}) t"""


def _columns(source: str, *carried: str) -> str:
    """What `typed` says of, with the objects that the leaves are in.

    The OFFSET 0 keep each stage computed once: PostgreSQL would otherwise fold a stage into
    every place that names it, and extract the same leaf again for each.
    """
    kept = "".join(f", s.{quote(column)}" for column in carried)
    objects = ", ".join(f"{at('s.doc', node.path)} AS {_alias(node)}" for node in inner_nodes())
    parent = {leaf.dotted: _alias(node) for node in inner_nodes() for leaf in node.leaves}
    columns = ",\n      ".join(
        f"{typed_value(leaf.domain, f'(o.{parent[leaf.dotted]} -> {literal(leaf.name)})')}"
        f" AS {quote(leaf.column)}"
        for leaf in LEAVES
    )
    return f"""SELECT o.*,
      {columns}
      FROM (SELECT s.user_id{kept}, {objects} FROM {source} s OFFSET 0) o OFFSET 0"""


def _taken(node: Node) -> list[str]:
    """The names of the accepted leaves of a node; NULL for any other."""
    return [
        f"CASE WHEN t.{quote(leaf.column)} IS NOT NULL THEN {literal(leaf.name)} END"
        for leaf in node.leaves
    ]


def _is_taken(node: Node) -> str:
    """Whether the value at `node`, where there is one, is an object of accepted leaves alone."""
    here = f"t.{_alias(node)}"
    taken = [*_taken(node), *(literal(child.name) for child in node.nodes)]
    return (
        f"{here} IS NULL OR CASE WHEN jsonb_typeof({here}) = 'object' AND {here} <> '{{}}'"
        f" THEN {here} - ARRAY[{', '.join(taken)}] = '{{}}' ELSE false END"
    )


def _residue(node: Node) -> str:
    """What is left of the object at `node` once the accepted leaves are taken out.

    NULL where nothing is left. An object that was empty already is kept: it would not
    come back by itself.
    """
    here, taken = f"t.{_alias(node)}", _taken(node)
    kept = ""
    for child in node.nodes:
        below = f"t.{_alias(child)}"
        taken.append(f"CASE WHEN jsonb_typeof({below}) = 'object' THEN {literal(child.name)} END")
        left = _residue(child)
        kept += (
            f" || CASE WHEN jsonb_typeof({below}) = 'object' AND ({left}) IS NOT NULL"
            f" THEN jsonb_build_object({literal(child.name)}, {left}) ELSE '{{}}' END"
        )
    rest = f"NULLIF(({here} - ARRAY[{', '.join(taken)}]){kept}, '{{}}')"
    return (
        f"CASE WHEN jsonb_typeof({here}) = 'object' AND {here} <> '{{}}' THEN {rest}"
        f" ELSE {here} END"
    )


# --- tables to blob ------------------------------------------------------------------


def json_value(leaf: Leaf, row: str) -> str:
    """What the JSON of a leaf says of its column, for to_jsonb."""
    column = f"{row}.{quote(leaf.column)}"
    return f"left({column}::text, 5)" if isinstance(leaf.domain, ClockTime) else column


def _object_text(node: Node, rows: dict[str, str], name: str = "") -> str:
    """Its text after its name, NULL where it has no member: half the work of jsonb_build_object.

    It is the very text that PostgreSQL prints of that jsonb: spaces, and shorter names first.
    No value that a column can hold needs an escape; a test holds the mapping to that. Written
    with as few operators as can be: to prepare one takes longer than to evaluate it.
    """
    members = {leaf.name: _member(leaf, rows[leaf.table]) for leaf in node.leaves}
    for child in node.nodes:
        members[child.name] = _object_text(child, rows, f'"{child.name}": ')
    ordered = [members[name] for name in sorted(members, key=lambda name: (len(name), name))]
    return f"('{name}{{' || NULLIF(concat_ws(', ', {', '.join(ordered)}), '') || '}}')"


def _member(leaf: Leaf, row: str) -> str:
    name, column = f'"{leaf.name}": ', f"{row}.{quote(leaf.column)}"
    match leaf.domain:
        case Flag() | WholeNumber():
            return f"'{name}' || {column}"
        case _:
            return f"""'{name}"' || {json_value(leaf, row)} || '"'"""


def leaves_text(user_row: str, notification_row: str) -> str:
    """The JSON text of the leaves in two typed rows, from their aliases; NULL where none is set."""
    return _object_text(TREE, {USER_TABLE: user_row, NOTIFICATION_TABLE: notification_row})


def document(user_row: str, notification_row: str) -> str:
    """The document of a user, from the aliases of their two (left-joined) typed rows.

    No row reads as `{}`; a row of NULLs is a blob that was SQL NULL.
    """
    rows = {USER_TABLE: user_row, NOTIFICATION_TABLE: notification_row}
    columns = ", ".join(f"{rows[leaf.table]}.{quote(leaf.column)}" for leaf in LEAVES)
    leaves = leaves_text(user_row, notification_row)
    return _put_together(user_row, leaves, f"num_nonnulls({columns}) = 0")


def put_together(row: str) -> str:
    """The same from one row (user_id, residue, leaves), whose `leaves` are their text.

    For a single user: the text is written once, and preparing it is most of the work.
    """
    return _put_together(row, f"{row}.leaves", f"{row}.leaves IS NULL")


def put_together_text(row: str) -> str:
    """The text of that, '' where it cannot be built; NULL for SQL NULL.

    Mostly the columns hold it whole, and no jsonb is made to print it.
    """
    residue, leaves = f"{row}.{quote(RESIDUE_COLUMN)}", f"{row}.leaves"
    return f"""CASE
      WHEN {leaves} IS NULL THEN
        CASE WHEN {row}.user_id IS NULL THEN '{{}}' ELSE {printed(residue)} END
      WHEN NULLIF({residue}, '{{}}') IS NULL THEN {leaves}
      ELSE COALESCE({qualified(DOCUMENT_TEXT)}({_laid(residue, leaves)}), '')
    END"""


def printed(doc: str) -> str:
    """The text of a document, '' where it cannot be built; NULL for SQL NULL."""
    return f"COALESCE({qualified(DOCUMENT_TEXT)}({doc}), CASE WHEN {doc} IS NOT NULL THEN '' END)"


def _put_together(row: str, leaves: str, no_leaf: str) -> str:
    residue = f"{row}.{quote(RESIDUE_COLUMN)}"
    return f"""CASE
      WHEN {no_leaf} THEN CASE WHEN {row}.user_id IS NULL THEN '{{}}' ELSE {residue} END
      ELSE {_laid(residue, leaves)}
    END"""


def _laid(residue: str, leaves: str) -> str:
    """The set leaves, put back into the residue as a merge patch does.

    Where the residue holds nothing at the names of inner objects, as mostly, a concatenation is
    the same at a fraction of the cost.
    """
    inner = path_literal(tuple(child.name for child in TREE.nodes))
    apart = f"jsonb_typeof({residue}) = 'object' AND NOT {residue} ?| {inner}::text[]"
    return f"""CASE
      WHEN {residue} IS NULL OR ({apart}) THEN COALESCE({residue}, '{{}}') || {leaves}::jsonb
      ELSE {qualified(MERGE_PATCH)}({residue}, {leaves}::jsonb) END"""


# --- quarantine ----------------------------------------------------------------------


def quarantined(residue: str) -> str:
    """A SELECT of (leaf, path, value, expected), a row for each mapped leaf in `residue`.

    Where a parent is not an object there is one row, at that parent's path.
    """
    found = []
    for node in inner_nodes():
        here = at(residue, node.path)
        odd = f"CASE WHEN jsonb_typeof({here}) <> 'object' THEN {here} END"
        found.append((node.dotted, node.path, "an object", odd))
    found += [
        (leaf.dotted, leaf.path, leaf.domain.expected, at(residue, leaf.path)) for leaf in LEAVES
    ]
    values = ",\n      ".join(
        f"({literal(dotted)}, {path_literal(path)}::text[], {literal(expected)}, {value})"
        for dotted, path, expected, value in found
    )
    return f"""SELECT q.leaf, q.path, q.value, q.expected FROM (VALUES
      {values}) q(leaf, path, expected, value) WHERE q.value IS NOT NULL"""


def at(value: str, path: Sequence[str]) -> str:
    """What a jsonb value has at a path of the mapping."""
    return f"({value} #> {path_literal(path)})" if path else value


def any_leaf_fits(residue: str) -> str:
    """Whether `residue` holds a leaf that its column could take: a row that is not canonical."""
    columns = ", ".join(f"f.{quote(leaf.column)}" for leaf in LEAVES)
    source = f"(SELECT 0 AS user_id, {residue} AS doc)"
    return f"(SELECT num_nonnulls({columns}) > 0 FROM ({typed(source)}) f)"

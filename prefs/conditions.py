"""Conditions on documents as a search for the users that they hold for.

A condition that is asked of everybody one by one costs a look into the tables for each. Asked
of the tables it is a scan, or an index. So it is compiled once for each store, with what stands
there for the document, and the users of all of them are those it holds for: as a whole, with all
its negations, so that three-valued logic stays PostgreSQL's own.

- the rows of the tables: a leaf is its column, or in the residue;
- where only leaves are asked for, and none by its absence: columns alone, which indexes and
  statistics serve, and the few rows with a quarantined value by an index of their own;
- users without rows: their document is `{}`;
- blobs, in the route that reads them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from django.db.models import BooleanField
from django.db.models.expressions import Expression, Value
from django.db.models.fields.json import (
    ContainedBy,
    DataContains,
    HasAnyKeys,
    HasKey,
    HasKeys,
    JSONExact,
    KeyTextTransform,
    KeyTransform,
    KeyTransformExact,
    KeyTransformIn,
)
from django.db.models.lookups import IsNull, Lookup
from django.db.models.sql.where import WhereNode

from prefs.lookups import (
    ArmDocument,
    DocumentKey,
    DocumentKeyText,
    is_document,
    path_of,
)
from prefs.mapping import ClockTime, Flag, Leaf, Node, WholeNumber
from prefs.sql import expressions, leaves
from prefs.sql.documents import tables_document
from prefs.sql.leaves import Sql
from prefs.sql.names import quote


class BlobDocument(ArmDocument):
    """The blob of a row of users."""

    def at(self, keys: list[str]) -> Sql | None:
        return None

    def as_sql(self, compiler: Any, connection: Any) -> Sql:
        return leaves.blob_value(), []


class TypedDocument(ArmDocument):
    """The document of typed rows; remembers which of them it was asked for.

    `positive` says that the condition is under no negation: then it need not be told whether
    it is false or unknown.
    """

    def __init__(
        self, output_field: Any, *, columns_only: bool = False, positive: bool = False
    ) -> None:
        super().__init__(output_field=output_field)
        self.columns_only, self.positive = columns_only, positive
        self.rows: set[str] = set()

    def resolve_expression(self, *_: Any, **__: Any) -> TypedDocument:
        return self

    def at(self, keys: list[str]) -> Sql | None:
        if found := leaves.leaf_at(keys):
            leaf, rest = found
            self.rows.add(leaves.row_of(leaf))
            if self.columns_only:
                return leaves.below(leaves.leaf_json(leaf, leaves.row_of(leaf)), rest)
            self.rows.add("p")
            return leaves.below(leaves.leaf_value(leaf), rest)
        if leaves.is_outside(keys):
            self.rows.add("p")
            return leaves.below(leaves.residue_at(()), keys)
        return None

    def is_there(self, node: Node) -> str:
        """Whether there is anything at an inner object."""
        self.name(leaves.leaves_below(node) if node.path else ())
        return leaves.is_there(node)

    def name(self, named: Iterable[Leaf]) -> None:
        """Take note that SQL names these leaves, and the residue."""
        self.rows |= {"p", *map(leaves.row_of, named)}

    def as_sql(self, compiler: Any, connection: Any) -> Sql:
        self.rows |= {"p", "n"}
        return f"({expressions.document('p', 'n')})", []


class Residue(ArmDocument):
    """The residue of a row `p`, which is the document where no column is set."""

    def __init__(self, output_field: Any) -> None:
        super().__init__(output_field=output_field)

    def at(self, keys: list[str]) -> Sql | None:
        return None

    def as_sql(self, compiler: Any, connection: Any) -> Sql:
        return leaves.residue_at(()), []


class SingleDocument(Residue):
    """The document of a row `p`, where few of them are needed: the other row is looked up."""

    def as_sql(self, compiler: Any, connection: Any) -> Sql:
        return f"(SELECT {tables_document('o.key')} FROM (SELECT p.user_id AS key) o)", []


class Part(Expression):
    """A piece of a condition: SQL and its parameters, and expressions of Django's."""

    conditional = True

    def __init__(self, *parts: Any) -> None:
        super().__init__(output_field=BooleanField())
        self.parts = parts

    def as_sql(self, compiler: Any, connection: Any) -> Sql:
        sql, parameters = "", list[object]()
        for part in self.parts:
            more, values = part if isinstance(part, tuple) else compiler.compile(part)
            sql, parameters = sql + more, [*parameters, *values]
        return sql, parameters


def _raw(sql: str) -> Sql:
    return sql, []


def translated(node: Any, root: ArmDocument | Value | None) -> Any:
    """A copy of an expression with `root` for the document, and our transforms for Django's.

    Without a root the document stays what it is.
    """
    if node is None or is_document(node):
        return node if root is None else root
    if isinstance(node, KeyTransform):
        below, keys = path_of(node)
        if is_document(below):
            *inner, last = keys
            value: Any = below if root is None else root
            for key in inner:
                value = DocumentKey(key, value)
            text = isinstance(node, KeyTextTransform)
            return (DocumentKeyText if text else DocumentKey)(last, value)
    if isinstance(root, TypedDocument) and (part := _by_rows(node, root)):
        return part
    copy = node.clone() if isinstance(node, WhereNode) else node.copy()
    copy.set_source_expressions([translated(n, root) for n in node.get_source_expressions()])
    return copy


# --- lookups by the rows of the tables -----------------------------------------------


def _by_rows(lookup: Any, document: TypedDocument) -> Part | None:
    """A lookup as the columns answer it; None where its operator over their JSON does."""
    if not isinstance(lookup, Lookup):
        return None
    if (found := _place(lookup.lhs)) is None:
        return None
    keys, rhs = found, lookup.rhs
    if document.columns_only:
        return _by_column(lookup, keys, document)
    node = leaves.node_at(keys)
    if node is None:
        return None
    if isinstance(lookup, IsNull):
        there = document.is_there(node)
        return Part(_raw(f"NOT {there}" if rhs else there))
    if type(lookup) in (HasKey, HasKeys, HasAnyKeys) and not hasattr(rhs, "resolve_expression"):
        names = [str(rhs)] if type(lookup) is HasKey else [str(name) for name in rhs]
        return _has_keys(names, node, document, any_of=type(lookup) is HasAnyKeys)
    if isinstance(lookup, JSONExact | DataContains | ContainedBy) and isinstance(rhs, dict):
        return _compared(lookup, node, document)
    return None


def _place(lhs: Any) -> list[str] | None:
    """The keys of a document's part; none for the document."""
    if is_document(lhs):
        return []
    if isinstance(lhs, KeyTransform) and not isinstance(lhs, KeyTextTransform):
        root, keys = path_of(lhs)
        return keys if is_document(root) else None
    return None


def _by_column(lookup: Lookup[Any], keys: list[str], document: TypedDocument) -> Part | None:
    found, rhs = leaves.leaf_at(keys), lookup.rhs
    if found is None or found[1]:
        return None
    leaf, column = found[0], f"{leaves.row_of(found[0])}.{quote(found[0].column)}"
    if type(lookup) is KeyTransformExact and not hasattr(rhs, "resolve_expression"):
        wanted = [_fitting(leaf, rhs, lookup)]
    elif type(lookup) is KeyTransformIn and lookup.rhs_is_direct_value():
        wanted = [_fitting(leaf, value, lookup) for value in rhs]
    else:
        return None
    document.rows.add(leaves.row_of(leaf))
    stated = [value for value in wanted if value is not None]
    if isinstance(leaf.domain, Flag):
        asked = [column if value else f"NOT {column}" for value in stated]
        return Part(_raw("(" + " OR ".join(asked or ["false"]) + ")"))
    if not stated:
        return Part(_raw("false"))
    return Part((f"{column} IN ({', '.join(['%s'] * len(stated))})", stated))


def _fitting(leaf: Leaf, value: Any, lookup: Lookup[Any]) -> Any:
    """What a column of this kind holds for a JSON value that is equal to it; None if nothing."""
    value = _json(value, lookup)
    match leaf.domain:
        case Flag():
            return value if isinstance(value, bool) else None
        case WholeNumber(minimum=minimum, maximum=maximum):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            inside = number and minimum <= value <= maximum and value == int(value)
            return int(value) if inside else None
        case domain:
            # What else is a string fits no column, and might not be text to PostgreSQL.
            plain = isinstance(value, str) and value.isascii() and value.isprintable()
            timely = not isinstance(domain, ClockTime) or re.match(domain.pattern, str(value))
            return value if plain and timely else None


def _json(value: Any, lookup: Lookup[Any]) -> Any:
    """A value as its JSON says it: the names in it are strings, whatever they were."""
    return json.loads(_text(value, lookup))


def _text(value: Any, lookup: Lookup[Any]) -> str:
    field = lookup.lhs.output_field
    return json.dumps(value, cls=field.encoder)


def _true_or_unknown(node: Node, document: TypedDocument, *condition: Any) -> Part:
    """A condition that is never unknown, made so where there is nothing at `node`."""
    if document.positive:
        return Part(*condition)
    there = document.is_there(node)
    return Part(_raw("CASE WHEN "), *condition, _raw(f" THEN true WHEN {there} THEN false END"))


def _has_keys(names: list[str], node: Node, document: TypedDocument, *, any_of: bool) -> Part:
    here, depth = leaves.residue_at(node.path), len(node.path)
    asked: list[str] = []
    for name in names:
        below = [leaf for leaf in leaves.leaves_below(node) if leaf.path[depth] == name]
        document.name(below)
        asked.append(f"({leaves.any_set(below)} OR COALESCE({here} ? %s, false))")
    sql = (" OR " if any_of else " AND ").join(asked) or ("false" if any_of else "true")
    return _true_or_unknown(node, document, (f"({sql})", names))


def _compared(lookup: Lookup[Any], node: Node, document: TypedDocument) -> Part:
    """A comparison with an object: by its leaves, then, but for `contains`, by the document."""
    value = _json(lookup.rhs, lookup)
    held: list[Sql] = [] if isinstance(lookup, ContainedBy) else _held(value, node, document)
    if isinstance(lookup, DataContains):
        held = held or [_is_object(node, document)]
        return _true_or_unknown(node, document, _raw("("), *_all(held), _raw(") IS TRUE"))
    others = [leaf for leaf in leaves.leaves_below(node) if not _says(value, node, leaf)]
    document.name(others if node.path else ())
    held.append(_raw(f"NOT {(leaves.any_set if node.path else leaves.any_set_by_row)(others)}"))
    said = len(others) < len(leaves.leaves_below(node))
    whole, here = lookup.copy(), (SingleDocument if said else Residue)(document.output_field)
    for key in node.path:
        here = KeyTransform(key, here)
    whole.set_source_expressions([here])
    condition = [_raw("CASE WHEN "), *_all(held), _raw(" THEN ("), whole, _raw(") IS TRUE END")]
    return _true_or_unknown(node, document, *condition)


def _all(conditions: list[Sql]) -> list[Sql]:
    sql = " AND ".join(f"({sql})" for sql, _ in conditions)
    return [(sql, [value for _, values in conditions for value in values])]


def _says(value: Any, node: Node, leaf: Leaf) -> bool:
    """Whether an object at `node` has something at a leaf."""
    for name in leaf.path[len(node.path) :]:
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    return True


def _held(value: dict[str, Any], node: Node, document: TypedDocument) -> list[Sql]:
    """The conditions that, together, say that the object at `node` contains another one.

    An array contains a scalar only at the top of a comparison, so scalars must be equal here.
    """
    found: list[Sql] = []
    children = {child.name: child for child in node.nodes}
    mapped = {leaf.name: leaf for leaf in node.leaves}
    for name, inner in value.items():
        scalar = not isinstance(inner, dict | list)
        operator, text = ("=" if scalar else "@>"), json.dumps(inner)
        if name in mapped:
            document.name([mapped[name]])
            found.append((f"{leaves.leaf_value(mapped[name])} {operator} %s::jsonb", [text]))
        elif name in children and isinstance(inner, dict):
            found += _held(inner, children[name], document)
            if not inner:
                found.append(_is_object(children[name], document))
        else:
            document.name(())
            here = leaves.residue_at(node.path)
            found.append((f"({here} -> %s) {operator} %s::jsonb", [name, text]))
    return found


def _is_object(node: Node, document: TypedDocument) -> Sql:
    below = leaves.leaves_below(node)
    document.name(below if node.path else ())
    residue = f"jsonb_typeof({leaves.residue_at(node.path)}) = 'object'"
    return _raw(f"{residue} OR {(leaves.any_set if node.path else leaves.any_set_by_row)(below)}")

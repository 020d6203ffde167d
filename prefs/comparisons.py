"""Lookups as the rows of the tables answer them, where an operator over JSON would be slower.

Each gives the same as Django's operator does on the document: in a condition that is under no
negation, true for the same users; under one, also false and unknown for the same.
"""

from __future__ import annotations

import json
import re
from typing import Any

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
    KeyTransformIsNull,
)
from django.db.models.lookups import IsNull, Lookup

from prefs.arms import Part, TypedDocument, joined, raw
from prefs.domains import ClockTime, Flag, WholeNumber
from prefs.lookups import ArmDocument, is_document, path_of
from prefs.mapping import Leaf, Node
from prefs.sql import leaves
from prefs.sql.leaves import Sql
from prefs.sql.names import quote


def by_rows(lookup: Any, document: TypedDocument) -> Part | None:
    """A lookup as the columns answer it; None where its operator over their JSON does."""
    keys = _place(lookup.lhs) if isinstance(lookup, Lookup) else None
    if keys is None:
        return None
    if document.columns_only:
        return _by_column(lookup, keys, document)
    node = leaves.node_at(keys)
    return None if node is None else _by_node(lookup, node, document)


def _by_node(lookup: Any, node: Node, document: TypedDocument) -> Part | None:
    kind, rhs = type(lookup), lookup.rhs
    if kind in (IsNull, KeyTransformIsNull):
        there = document.is_there(node)
        return Part(raw(f"NOT {there}" if rhs else there))
    if kind in (HasKey, HasKeys, HasAnyKeys) and not hasattr(rhs, "resolve_expression"):
        names = [str(rhs)] if kind is HasKey else [str(name) for name in rhs]
        return _has_keys(names, node, document, any_of=kind is HasAnyKeys)
    if kind in (JSONExact, KeyTransformExact, DataContains, ContainedBy) and isinstance(rhs, dict):
        return _compared(lookup, node, document)
    return None


def _place(lhs: Any) -> list[str] | None:
    """The keys of a document's part; none for the document."""
    root, keys = path_of(lhs)
    return keys if is_document(root) and not isinstance(lhs, KeyTextTransform) else None


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
        return Part(raw("(" + " OR ".join(asked or ["false"]) + ")"))
    if not stated:
        return Part(raw("false"))
    return Part((f"{column} IN ({', '.join(['%s'] * len(stated))})", tuple(stated)))


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
    return json.loads(json.dumps(value, cls=lookup.lhs.output_field.encoder))


def _true_or_unknown(node: Node, document: TypedDocument, *condition: Any) -> Part:
    """A condition that is never unknown, made so where there is nothing at `node`."""
    if document.positive:
        return Part(*condition)
    there = document.is_there(node)
    return Part(raw("CASE WHEN "), *condition, raw(f" THEN true WHEN {there} THEN false END"))


def _has_keys(names: list[str], node: Node, document: TypedDocument, *, any_of: bool) -> Part:
    here, depth = leaves.residue_at(node.path), len(node.path)
    asked: list[str] = []
    for name in names:
        below = [leaf for leaf in leaves.leaves_below(node) if leaf.path[depth] == name]
        document.name(below)
        asked.append(f"({leaves.any_set(below)} OR COALESCE({here} ? %s, false))")
    # All of no keys are in whatever is there.
    nothing = "false" if any_of else document.is_there(node)
    sql = (" OR " if any_of else " AND ").join(asked) or nothing
    return _true_or_unknown(node, document, (f"({sql})", tuple(names)))


def _compared(lookup: Lookup[Any], node: Node, document: TypedDocument) -> Part:
    """A comparison with an object: by its leaves, then, but for `contains`, by the document."""
    value = _json(lookup.rhs, lookup)
    held: list[Sql] = [] if isinstance(lookup, ContainedBy) else _held(value, node, document)
    if isinstance(lookup, DataContains):
        held = held or [_is_object(node, document)]
        return _true_or_unknown(node, document, raw("("), joined(held, " AND "), raw(") IS TRUE"))
    below = leaves.leaves_below(node)
    said = [leaf for leaf in below if _says(value, node, leaf)]
    others = [leaf for leaf in below if leaf not in said]
    document.name(others if node.path else ())
    held.append(raw(f"NOT {leaves.any_set_of(node, others)}"))
    whole = lookup.copy()
    here: Any = ArmDocument(document.output_field, leaves.single_document(said))
    for key in node.path:
        here = KeyTransform(key, here)
    whole.set_source_expressions([here])
    condition = [
        raw("CASE WHEN "),
        joined(held, " AND "),
        raw(" THEN ("),
        whole,
        raw(") IS TRUE END"),
    ]
    return _true_or_unknown(node, document, *condition)


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
            found.append((f"{leaves.leaf_value(mapped[name])} {operator} %s::jsonb", (text,)))
        elif name in children and isinstance(inner, dict):
            found += _held(inner, children[name], document)
            if not inner:
                found.append(_is_object(children[name], document))
        else:
            document.name(())
            here = leaves.residue_at(node.path)
            found.append((f"({here} -> %s) {operator} %s::jsonb", (name, text)))
    return found


def _is_object(node: Node, document: TypedDocument) -> Sql:
    below = leaves.leaves_below(node)
    document.name(below if node.path else ())
    residue = f"jsonb_typeof({leaves.residue_at(node.path)}) = 'object'"
    return raw(f"({residue} OR {leaves.any_set_of(node, below)})")

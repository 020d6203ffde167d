"""A document as JSON Schema (2020-12), from the mapping: what is let in, a patch, what is stored.

A document that is stored may be odder than one that is let in: nothing is ever refused for what it
was before.
"""

from __future__ import annotations

from collections.abc import Callable

from prefs.domains import Schema
from prefs.mapping import TREE, Node

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_DOCUMENT = (
    "A user's preferences as they are let in. Every setting may be left out; other keys are kept"
    " as they are. Keys are unique, and no number is rounded."
)
_PATCH = (
    "A merge patch (RFC 7396), at most 100 deep: what it names is set, what it names as null is"
    " taken away, the rest stays."
)
_STORED = (
    "What is stored: a document as it is let in, or anything else that was there before, which is"
    " served as it is."
)


def document() -> Schema:
    """What a PUT takes."""
    return {"description": _DOCUMENT, **_object(TREE, lambda schema: schema)}


def patch() -> Schema:
    """What a PATCH takes."""
    return {"description": _PATCH, **_object(TREE, _or_null)}


def stored(let_in: Schema) -> Schema:
    """What is answered; `let_in` is the schema of a document, or a reference to it."""
    return {"description": _STORED, "anyOf": [let_in, {}]}


def _object(node: Node, wrapped: Callable[[Schema], Schema]) -> Schema:
    properties = {leaf.name: wrapped(leaf.domain.schema) for leaf in node.leaves}
    properties |= {child.name: wrapped(_object(child, wrapped)) for child in node.nodes}
    return {"type": "object", "properties": properties}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}

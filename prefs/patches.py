"""A typed row as a merge patch of the document."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import models

from prefs.mapping import Leaf, leaves_of


class NotALeaf(ValueError):
    """A field of a typed row that no leaf of a document stands for."""

    def __init__(self, names: Iterable[str], known: Iterable[str]) -> None:
        super().__init__(
            f"{', '.join(sorted(names))} cannot be set on a typed row; expected of"
            f" {', '.join(known)}. Use UserPreferences.objects.merge for anything else."
        )


class NotAValue(TypeError):
    """An expression where a value is expected: a typed row may be older than the document."""

    def __init__(self, value: object) -> None:
        super().__init__(
            f"{value!r} is an expression, which would be evaluated on typed rows; those may be"
            " older than the documents. Nothing was written. Give a value, or read the document"
            " and call UserPreferences.objects.merge."
        )


def chosen_leaves(model: type[models.Model], names: Iterable[str]) -> list[Leaf]:
    """The leaves of a typed table by their columns; NotALeaf for what is none."""
    chosen = list(names)
    leaves = {leaf.column: leaf for leaf in leaves_of(model._meta.db_table)}
    unknown = set(chosen) - leaves.keys()
    if unknown:
        raise NotALeaf(unknown, leaves)
    return [leaves[name] for name in chosen]


def patch_of(leaves: Iterable[Leaf], values: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch that sets leaves to the values of their columns."""
    patch: dict[str, Any] = {}
    for leaf in leaves:
        node = patch
        for name in leaf.path[:-1]:
            node = node.setdefault(name, {})
        node[leaf.name] = _json_value(values.get(leaf.column))
    return patch


def _json_value(value: Any) -> Any:
    """The value as a document has it; seconds are kept, so that they are refused by name."""
    if hasattr(value, "resolve_expression"):
        raise NotAValue(value)
    if isinstance(value, dt.time):
        return (
            value.strftime("%H:%M") if (value.second, value.microsecond) == (0, 0) else str(value)
        )
    return value

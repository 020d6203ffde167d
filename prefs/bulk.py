"""Merges into the documents of many users at once: what goes in, and in which chunks."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from django.db import models

from prefs import codec
from prefs.mapping import Leaf
from prefs.patches import chosen_leaves, patch_of

CHUNK = 1_000
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Merge:
    """Merge patches for one user, as JSON texts.

    `inserts` is for a user who has neither a typed row nor a document but `{}`, `updates` for any
    other; None leaves them alone. `unknown` are the leaves that failed a test of Python's.
    """

    inserts: str
    updates: str | None
    unknown: str

    @classmethod
    def of(cls, key: Any, inserts: Any, updates: Any) -> Self:
        """A merge of these patches; InvalidDocument, which names the user, for what is no JSON."""
        first, second = (
            codec.encode(key, patch, max_depth=codec.MAX_PATCH_DEPTH)
            for patch in (inserts, updates)
        )
        unknown = {*codec.unknown_leaves(inserts), *codec.unknown_leaves(updates)}
        return cls(
            inserts=first,
            updates=None if updates is None else second,
            unknown=json.dumps(sorted(unknown)),
        )


def columns(merges: Mapping[Any, Merge]) -> dict[str, list[Any]]:
    """Merges by key as the parameters of prefs.sql.merges.merge."""
    return {
        "users": list(merges),
        "inserts": [each.inserts for each in merges.values()],
        "updates": [each.updates for each in merges.values()],
        "unknown": [each.unknown for each in merges.values()],
    }


def chunks(pairs: Iterable[tuple[Any, _T]], size: int = CHUNK) -> Iterator[dict[Any, _T]]:
    """Values by key, at most `size` at once and none of the keys twice, in the order given."""
    chunk: dict[Any, _T] = {}
    for key, value in pairs:
        if len(chunk) == size or key in chunk:
            yield chunk
            chunk = {}
        chunk[key] = value
    if chunk:
        yield chunk


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """What `bulk_create` does where a user's row is there; by itself, what it does elsewhere."""

    ignored: bool = False
    updated: tuple[Leaf, ...] | None = None

    @classmethod
    def of(
        cls,
        model: type[models.Model],
        ignore: bool,
        update: bool,
        update_fields: Collection[str] | None,
        unique_fields: Collection[str] | None,
    ) -> Self:
        """It from the options of `bulk_create`. Raises ValueError, as Django, and NotALeaf."""
        if ignore and update:
            raise ValueError("ignore_conflicts and update_conflicts are mutually exclusive.")
        if not update:
            return cls(ignored=ignore)
        key = model._meta.pk
        assert key is not None
        if not update_fields:
            raise ValueError("update_conflicts needs update_fields: the leaves that it updates.")
        if set(unique_fields or ()) - {"pk", key.name, key.attname} or not unique_fields:
            raise ValueError(
                f"unique_fields is {list(unique_fields or ())}; expected [{key.name!r}], since"
                " nothing else of a typed row is unique."
            )
        return cls(updated=tuple(chosen_leaves(model, update_fields)))

    def merge(self, key: Any, row: models.Model, leaves: Iterable[Leaf]) -> Merge | None:
        """What saving those leaves of a row merges; None where that is nothing."""
        inserts = patch_of(leaves, vars(row))
        if self.ignored:
            return Merge.of(key, inserts, None) if inserts else None
        updates = inserts if self.updated is None else patch_of(self.updated, vars(row))
        return Merge.of(key, inserts, updates) if inserts or updates else None

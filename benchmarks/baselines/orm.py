"""By Django's ORM with plain models: a loop of `save()`, and `bulk_create` in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.db import transaction

from benchmarks.plain.models import PlainNotificationPreferences, PlainUserPreferences, User
from prefs.mapping import NOTIFICATION_TABLE, TREE, USER_TABLE, Node

_CHUNK = 1_000


def loop_of_save(alias: str, users: int) -> None:
    """Save both rows of the first users, one user after the other."""
    for rows in _rows(alias, users):
        for row in rows:
            row.save(using=alias, force_insert=True)


def chunked_bulk_create(alias: str, users: int) -> None:
    """Create both rows of the first users, a thousand users in a transaction."""
    rows_of_users = _rows(alias, users)
    while chunk := list(islice(rows_of_users, _CHUNK)):
        with transaction.atomic(using=alias):
            for model, rows in zip(_MODELS, zip(*chunk, strict=True), strict=True):
                model.objects.using(alias).bulk_create(rows)


_MODELS = (PlainUserPreferences, PlainNotificationPreferences)


def _rows(alias: str, users: int) -> Iterator[tuple[Any, Any]]:
    people = User.objects.using(alias).order_by("pk").values_list("pk", "preferences")[:users]
    for pk, document in people.iterator(chunk_size=_CHUNK):
        values: dict[str, dict[str, Any]] = {USER_TABLE: {}, NOTIFICATION_TABLE: {}}
        _take(TREE, document, values)
        yield (
            PlainUserPreferences(user_id=pk, **values[USER_TABLE]),
            PlainNotificationPreferences(user_id=pk, **values[NOTIFICATION_TABLE]),
        )


def _take(node: Node, document: Any, values: dict[str, dict[str, Any]]) -> None:
    """Put the leaves at and below a node into the values of their tables."""
    if isinstance(document, dict):
        for leaf in node.leaves:
            values[leaf.table][leaf.column] = document.get(leaf.name)
        for child in node.nodes:
            _take(child, document.get(child.name), values)

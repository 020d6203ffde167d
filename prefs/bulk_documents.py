"""The documents of many instances, in Django's bulk writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connections

from prefs import instances
from prefs.fields import PreferencesField
from prefs.instances import NAME


class BulkDocuments:
    """What instances have for documents, and what storing them changes."""

    def __init__(self, field: PreferencesField, users: Sequence[Any], *, new: bool) -> None:
        self._field, self._users = field, users
        self._values = [
            field.pre_save(user, True) if new else getattr(user, NAME) for user in users
        ]
        # What JSON cannot hold is an error before anything is written.
        self._texts = [
            None if instances.is_expression(value) else instances.text_of(field, value)
            for value in self._values
        ]

    @property
    def are_default(self) -> bool:
        """Whether each of them is what the database gives a new row."""
        return all(text == instances.NOTHING for text in self._texts)

    def store_new(self, alias: str, *, replacing: bool) -> None:
        """Store those of rows that were inserted, or, `replacing`, written over.

        In the transaction that is open. Raises UnknownRows where the keys did not come back.
        """
        changes: dict[Any, str] = {}
        for user, value, text in zip(self._users, self._values, self._texts, strict=True):
            key = instances.key_of(self._field, user)
            if text is None:
                changes |= self._evaluated(key, value, alias)
            elif replacing or text != instances.NOTHING:
                changes[key] = instances.replacing(value, text)
        instances.apply(changes, alias)

    def store_changed(self, alias: str) -> None:
        """Store what changed in those of rows that are locked, in the transaction that is open."""
        changes: dict[Any, str] = {}
        for user, value in zip(self._users, self._values, strict=True):
            key = instances.key_of(self._field, user)
            if instances.is_expression(value):
                changes |= self._evaluated(key, value, alias)
                continue
            change = instances.change_of(self._field, user, value, key, alias)
            if change is not None:
                changes[key] = change
        instances.apply(changes, alias)

    def remember(self, alias: str) -> None:
        """Have the instances take what was stored for what is."""
        connection = connections[alias]
        for user, text in zip(self._users, self._texts, strict=True):
            if text is None:
                instances.forget(user)
            else:
                instances.remember(user, text, instances.key_of(self._field, user), connection)

    def _evaluated(self, key: Any, expression: Any, alias: str) -> dict[Any, str]:
        rows = self._field.model._base_manager.using(alias).filter(pk=key)
        return instances.evaluated(rows, "pk", expression)

"""Django's serializers, which take over nothing that belongs to the database that was dumped.

Left as they are, `loaddata` would take over how far its migration is, and by whose hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.core import serializers
from django.core.management.base import CommandError
from django.core.serializers.base import DeserializedObject
from django.db import models
from waffle import get_waffle_switch_model

from prefs.routing import SWITCHES

FORMATS = ("json", "jsonl", "python", "xml", "yaml")


class NotLoaded(CommandError):
    """A row of the migration's own, of another database; the fixture is not loaded."""

    def __init__(self, row: models.Model) -> None:
        super().__init__(
            f"{row._meta.label}(pk={row.pk}) says how the preferences of the database that was"
            " dumped are stored, and by which steps: here it would be wrong. The documents are in"
            " the users. Load with `loaddata --exclude prefs`, or dump with `dumpdata --exclude"
            " prefs`.",
            returncode=4,
        )


class OfAnotherDatabase(DeserializedObject):
    """A row that can be left out (`loaddata --exclude`), and not saved."""

    def save(self, *args: Any, **options: Any) -> None:
        """Refused: NotLoaded."""
        raise NotLoaded(self.object)


class OfThisDatabase(DeserializedObject):
    """One of our two switches: the one that is here says how preferences are stored here."""

    def save(self, *args: Any, **options: Any) -> None:
        """Leave the switch that is here as it is."""


def loadable(found: Iterable[DeserializedObject]) -> Iterator[DeserializedObject]:
    """What is in a fixture; to save it takes over nothing of another database's migration."""
    for each in found:
        row: Any = each.object
        kind = DeserializedObject
        if row._meta.app_label == "prefs":
            kind = OfAnotherDatabase
        elif isinstance(row, get_waffle_switch_model()) and row.name in SWITCHES:
            kind = OfThisDatabase
        taken = kind is DeserializedObject
        yield each if taken else kind(row, each.m2m_data, each.deferred_fields)


def register() -> None:
    """Take the place of Django's own serializers; a site's own stay."""
    for name in FORMATS:
        registered: Any = serializers.get_serializer(name)
        if registered.__module__.startswith("django.core.serializers"):
            serializers.register_serializer(name, f"{__name__}.{name}_format")

"""Django's serializers, with the preferences of users: they walk columns alone.

Left as they are, `dumpdata` would lose every document without a word.
"""

from __future__ import annotations

from typing import Any

from django.core import serializers
from django.core.serializers.base import Serializer
from django.db import models

from prefs.fields import PreferencesField

FORMATS = ("json", "jsonl", "python", "xml", "yaml")


class CarriesPreferences(Serializer):
    """Adds the document as the last field of a user."""

    def end_object(self, obj: models.Model) -> None:
        """End a user after the document, which is loaded with those of the next users."""
        for field in obj._meta.private_fields:
            chosen = self.selected_fields is None or field.name in self.selected_fields
            if isinstance(field, PreferencesField) and chosen:
                self.handle_field(obj, field)
        super().end_object(obj)


def register() -> None:
    """Take the place of Django's own serializers; a site's own stay."""
    for name in FORMATS:
        registered: Any = serializers.get_serializer(name)
        if registered.__module__.startswith("django.core.serializers"):
            serializers.register_serializer(name, f"{__name__}.{name}_format")

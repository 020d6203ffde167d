"""Python objects, without what belongs to another database."""

from collections.abc import Iterator
from typing import Any

from django.core.serializers.base import DeserializedObject
from django.core.serializers.python import Deserializer as DjangoDeserializer
from django.core.serializers.python import Serializer

from prefs.serializers import loadable

__all__ = ["Deserializer", "Serializer"]


def Deserializer(source: Any, **options: Any) -> Iterator[DeserializedObject]:  # noqa: N802
    """Django's own, without what belongs to another database."""
    return loadable(DjangoDeserializer(source, **options))

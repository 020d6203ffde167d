"""XML, with preferences."""

from django.core.serializers.xml_serializer import Deserializer
from django.core.serializers.xml_serializer import Serializer as DjangoSerializer

from prefs.serializers import CarriesPreferences

__all__ = ["Deserializer", "Serializer"]


class Serializer(CarriesPreferences, DjangoSerializer):
    """Django's own, and the documents of users."""

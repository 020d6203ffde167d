"""An app without tables of its own."""

from django.apps import AppConfig


class PlainConfig(AppConfig):
    """The plain models' app."""

    name = "benchmarks.plain"
    label = "plain"

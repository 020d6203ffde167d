"""An app without tables of its own."""

from django.apps import AppConfig


class PreviousConfig(AppConfig):
    """The frozen model's app."""

    name = "tests.chaos.previous"
    label = "previous"

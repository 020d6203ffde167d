"""The Django application of the settings page: its templates, its style sheet."""

from django.apps import AppConfig


class PagesConfig(AppConfig):
    """Holds no models."""

    name = "prefs.pages"
    label = "prefs_pages"
    verbose_name = "Settings page"

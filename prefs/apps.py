"""The Django application: registers the system checks, nothing else."""

from django.apps import AppConfig
from django.core import checks


class PrefsConfig(AppConfig):
    """The app, and the checks it registers."""

    name = "prefs"
    verbose_name = "Preferences migration"

    def ready(self) -> None:
        """Register the checks, once the models are there."""
        from prefs.checks import mapping_matches_models, sessions_are_named

        checks.register(mapping_matches_models, checks.Tags.models)
        checks.register(sessions_are_named, checks.Tags.security)

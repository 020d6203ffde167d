"""The Django application: registers the system checks and the guards of the switches."""

from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import pre_delete, pre_migrate, pre_save


class PrefsConfig(AppConfig):
    """The app, and the checks it registers."""

    name = "prefs"
    verbose_name = "Preferences migration"

    def ready(self) -> None:
        """Register checks and receivers, once the models are there."""
        from waffle import get_waffle_sample_model, get_waffle_switch_model

        from prefs import fixtures
        from prefs.checks import (
            mapping_matches_models,
            sessions_are_named,
            settings_are_right,
            users_store_their_preferences,
        )
        from prefs.engine import samples
        from prefs.engine.checks import installation_is_intact
        from prefs.engine.switches import refuse_deletion, turn_by_protocol
        from prefs.operations import refuse_to_touch_the_field
        from prefs.sql import places

        places.install()
        checks.register(mapping_matches_models, checks.Tags.models)
        checks.register(users_store_their_preferences, checks.Tags.models)
        checks.register(sessions_are_named, checks.Tags.security)
        checks.register(settings_are_right, checks.Tags.database)
        checks.register(installation_is_intact, checks.Tags.database)
        # First, so that what a fixture has of a switch is not taken for a wish to turn it.
        pre_save.connect(fixtures.keep_setting, sender=get_waffle_switch_model())
        pre_save.connect(turn_by_protocol, sender=get_waffle_switch_model())
        pre_delete.connect(refuse_deletion, sender=get_waffle_switch_model())
        pre_save.connect(fixtures.keep_setting, sender=get_waffle_sample_model())
        pre_save.connect(samples.turn_by_protocol, sender=get_waffle_sample_model())
        pre_delete.connect(samples.refuse_deletion, sender=get_waffle_sample_model())
        pre_migrate.connect(refuse_to_touch_the_field, sender=self)
        for model in self.get_models():
            pre_save.connect(fixtures.refuse_records, sender=model)

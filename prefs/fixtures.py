"""A fixture takes over nothing of the migration of the database that it was dumped from.

Its rows say how preferences are stored there, and by which steps it came so far. Loaded, they
would be wrong here.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.db import models

from prefs.routing import SAMPLES, SWITCHES


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


def refuse_records(instance: models.Model, raw: bool, **_: Any) -> None:
    """Receives pre_save of a model of ours. Raises NotLoaded where a fixture is loaded."""
    if raw:
        raise NotLoaded(instance)


def keep_setting(sender: Any, instance: Any, raw: bool, using: str, **_: Any) -> None:
    """Receives pre_save of a switch or a sample: one of ours in a fixture becomes the one here."""
    if raw and instance.name in (*SWITCHES, *SAMPLES):
        here = sender._default_manager.using(using).filter(name=instance.name).first()
        if here is not None:
            for field in sender._meta.concrete_fields:
                setattr(instance, field.attname, getattr(here, field.attname))

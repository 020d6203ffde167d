"""System checks: the mapping and the models name the same columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import models

from prefs import conf
from prefs.fields import document_field
from prefs.mapping import RESIDUE_COLUMN, USER_TABLE, leaves_of
from prefs.querysets import PreferencesQuerySet
from prefs.users import HasPreferences


def mapping_matches_models(**_: Any) -> list[checks.CheckMessage]:
    """prefs.E001: a column that only one of the mapping and the models has, or another type."""
    from prefs.models import NotificationPreferences, UserPreferences

    return [*_compare(UserPreferences), *_compare(NotificationPreferences)]


def _compare(model: type[models.Model]) -> list[checks.CheckMessage]:
    table = model._meta.db_table
    mapped = {leaf.column: leaf.domain.field for leaf in leaves_of(table)}
    if table == USER_TABLE:
        mapped[RESIDUE_COLUMN] = "JSONField"
    declared = {str(f.column): f for f in model._meta.concrete_fields if not f.primary_key}
    wrong = [
        column
        for column in mapped.keys() | declared.keys()
        if column not in mapped
        or column not in declared
        or type(declared[column]) is not getattr(models, mapped[column])
        or not declared[column].null
    ]
    return [
        checks.Error(
            f"The mapping and the model disagree about the column {table}.{column}.",
            hint="Name the leaf in prefs/mapping.py and declare the same column, nullable, in"
            " prefs/models/preferences.py; then run makemigrations.",
            obj=model,
            id="prefs.E001",
        )
        for column in sorted(wrong)
    ]


def users_store_their_preferences(**_: Any) -> list[checks.CheckMessage]:
    """prefs.E002: a user model whose PreferencesField would not be stored by all that writes it."""
    model: Any = get_user_model()
    if document_field(model) is None:
        return []
    missing = []
    if not issubclass(model, HasPreferences):
        missing.append("Derive the model from prefs.users.HasPreferences, too.")
    missing += [
        f"The manager {name} makes querysets of a class of its own. Derive that class from"
        " prefs.querysets.PreferencesQuerySet, too; or have get_queryset() begin with"
        " super().get_queryset()."
        for name, manager in {
            **{manager.name: manager for manager in model._meta.managers},
            "_base_manager": model._base_manager,
        }.items()
        if not isinstance(manager.all(), PreferencesQuerySet)
    ]
    return [
        checks.Error(
            f"{model._meta.label} has a PreferencesField, but would lose some of what is written.",
            hint=hint,
            obj=model,
            id="prefs.E002",
        )
        for hint in missing
    ]


def settings_are_right(
    databases: Sequence[str] | None = None, **_: Any
) -> list[checks.CheckMessage]:
    """prefs.E009: a PREFS_ setting whose value would do harm, or nothing.

    Asked with a database alone, as by `migrate`: a command of ours says so itself.
    """
    if not databases:
        return []
    try:
        conf.current()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id="prefs.E009")]
    return []


def sessions_are_named(**_: Any) -> list[checks.CheckMessage]:
    """prefs.W001: a database whose sessions the gates will take for another program's."""
    return [
        checks.Warning(
            f"The sessions of the database {alias!r} do not name themselves.",
            hint=f'Set OPTIONS["application_name"] to "{conf.APPLICATION_NAME}", or to that and'
            " a name of yours after a space. Else the gates to mirror_off and dropped will"
            " take them for sessions of the previous release.",
            id="prefs.W001",
        )
        for alias, database in settings.DATABASES.items()
        if not is_ours(str(database.get("OPTIONS", {}).get("application_name", "")))
    ]


def is_ours(application_name: str) -> bool:
    """Whether a session of that name is of this release."""
    ours = conf.APPLICATION_NAME
    return application_name == ours or application_name.startswith(ours + " ")

"""What a site's migrations hold of ours, and what they may no longer do.

From the installation on the column of preferences is ours: it is kept, dropped and restored by
the protocol. In the state of migrations a PreferencesField stands in the JSONField's place, so
that no operation of Django's makes SQL for it, and historical models read and write by route.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connections
from django.db.migrations import Migration, operations
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from prefs.fields import PreferencesField
from prefs.mapping import BLOB_COLUMN
from prefs.sql.asking import rows
from prefs.sql.catalog import has_column
from prefs.users import HasPreferences


class InstallMigration(Operation):
    """Tells the state of migrations that the field is ours from here on.

    makemigrations sees no change by it, before and after. It makes no SQL.
    """

    reduces_to_sql = False
    reversible = True

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Put a PreferencesField in the place of the user model's JSONField, and our base first."""
        app, name = settings.AUTH_USER_MODEL.lower().split(".")
        model: Any = state.models[app, name]
        plain: Any = model.fields.get(BLOB_COLUMN)
        if plain is None:
            raise FieldNotFound(settings.AUTH_USER_MODEL)
        _, _, arguments, options = plain.deconstruct()
        model.fields[BLOB_COLUMN] = PreferencesField(*arguments, **options)
        model.bases = (
            HasPreferences,
            *(each for each in model.bases if each is not HasPreferences),
        )
        state.reload_model(app, name, delay=True)

    def database_forwards(self, *_: Any) -> None:
        """Nothing."""

    def database_backwards(self, *_: Any) -> None:
        """Nothing."""

    def describe(self) -> str:
        """What `migrate --plan` prints."""
        return "Give the preferences of users over to the migration of preferences"


class FieldNotFound(CommandError):
    """The site's migrations have not made the field by the time we are to take it over."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"No field {model}.{BLOB_COLUMN} is left by the migrations that come before those of"
            f" prefs. Nothing was changed. The first migration of {model.partition('.')[0]} has to"
            " make it, as a JSONField; one that removes it has to depend on the last of prefs.",
            returncode=4,
        )


class FieldIsKept(CommandError):
    """A migration of the site's that would alter or drop what every user's preferences are in."""

    def __init__(self, migration: Migration, operation: Operation) -> None:
        super().__init__(
            f"{migration} would touch the preferences of users ({operation.describe()})."
            " Nothing was migrated."
            " The column belongs to the migration of preferences, which drops it by advance_prefs"
            " --to dropped, once nothing is lost by it. Take that operation out of the migration."
            " If the code of the site is to lose the field, do so in a release after that.",
            returncode=4,
        )


def refuse_to_touch_the_field(plan: Iterable[tuple[Migration, bool]], using: str, **_: Any) -> None:
    """Receives pre_migrate: raises FieldIsKept before anything of such a plan has run.

    While there is a column. What a fresh database's history does to it is done before.
    """
    app, owner = settings.AUTH_USER_MODEL.lower().split(".")
    touching = [
        (migration, operation)
        for migration, _backwards in plan
        if migration.app_label == app
        for operation in _flat(migration.operations)
        if _touches(operation, owner)
    ]
    if touching and rows(connections[using], f"SELECT WHERE {has_column()}"):
        raise FieldIsKept(*touching[0])


def _flat(found: Iterable[Operation]) -> Iterator[Operation]:
    for operation in found:
        if isinstance(operation, operations.SeparateDatabaseAndState):
            yield from _flat(operation.database_operations)
            yield from _flat(operation.state_operations)
        else:
            yield operation


def _touches(operation: Operation, model: str) -> bool:
    """Whether a migration's operation is on the field, or does away with its model."""
    if isinstance(operation, operations.DeleteModel):
        return operation.name_lower == model
    if isinstance(operation, operations.RenameField):
        ours = {operation.old_name_lower, operation.new_name_lower}
        return operation.model_name_lower == model and BLOB_COLUMN in ours
    if isinstance(operation, operations.RemoveField | operations.AlterField | operations.AddField):
        return operation.model_name_lower == model and operation.name_lower == BLOB_COLUMN
    return False

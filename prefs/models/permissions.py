"""Who may do what to the migration: permissions of a model that has no table."""

from __future__ import annotations

from django.db import models

ADVANCE = "prefs.advance_migration"
OPERATE = "prefs.operate_migration"
VIEW_DOCUMENTS = "prefs.view_documents"
CHANGE_DOCUMENTS = "prefs.change_documents"


class NoRows(models.Manager["Migration"]):
    """Finds nothing, and asks nobody: `dumpdata` looks at models without a table, too."""

    def get_queryset(self) -> models.QuerySet[Migration]:
        """No rows."""
        return super().get_queryset().none()


class Migration(models.Model):
    """The migration itself, to which an admin's permissions belong. waffle's own turn nothing."""

    objects = NoRows()

    class Meta:
        managed = False
        base_manager_name = "objects"
        default_permissions = ()
        permissions = (
            ("view_migration", "Can view the preferences migration"),
            ("operate_migration", "Can run and correct in the preferences migration"),
            ("advance_migration", "Can take transitions of the preferences migration"),
            ("contract_migration", "Can drop the column and remove the archive"),
            ("view_documents", "Can view anyone's preferences"),
            ("change_documents", "Can change anyone's preferences"),
        )

    def __str__(self) -> str:
        return "the preferences migration"

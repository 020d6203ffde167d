"""Copies the blobs of a small site at once; for a large one it prints what to run.

Going back, it is the first to be undone, and so the place that refuses: the tables are
given up only while the blob is what everybody reads and writes.
"""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from prefs.engine.backfill import backfill_inline
from prefs.engine.unexpand import refuse_to_unexpand


def forwards(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    backfill_inline(schema_editor.connection.alias, say=print)


def backwards(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    refuse_to_unexpand(schema_editor.connection.alias)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("prefs", "0005_triggers")]

    operations = [migrations.RunPython(forwards, backwards)]

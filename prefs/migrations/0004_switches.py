"""The two switches, both off: reads and writes go to the blob, as before. Both samples at 0."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps
from django.utils import timezone
from waffle import get_waffle_switch_model

from prefs.routing import SAMPLES, SWITCHES
from prefs.sql import canary
from prefs.sql.names import names

_NOTE = "Part of the preferences migration: turned by advance_prefs and rollback_prefs."


def create(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    switches = get_waffle_switch_model().objects.using(schema_editor.connection.alias)
    now = timezone.now()
    switches.bulk_create(
        [
            get_waffle_switch_model()(name=n, active=False, note=_NOTE, created=now, modified=now)
            for n in SWITCHES
        ],
        ignore_conflicts=True,
    )
    for name in SAMPLES:
        schema_editor.execute(canary.create(name), params=None)


def remove(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    from prefs.engine.unexpand import refuse_to_unexpand

    refuse_to_unexpand(schema_editor.connection.alias)
    # In SQL: the signal of a delete() is refused, while the guard's trigger is gone by now.
    for table, ours in ((names().switches, SWITCHES), (names().samples, SAMPLES)):
        schema_editor.execute(f"DELETE FROM {table} WHERE name = ANY(%s)", params=[list(ours)])


class Migration(migrations.Migration):
    dependencies = [
        ("prefs", "0003_functions"),
        ("waffle", "0004_update_everyone_nullbooleanfield"),
    ]

    operations = [migrations.RunPython(create, remove)]

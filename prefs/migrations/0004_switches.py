"""The two switches, both off: reads and writes go to the blob, as before."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps
from django.utils import timezone
from waffle import get_waffle_switch_model

from prefs.routing import SWITCHES
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


def remove(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    from prefs.engine.unexpand import refuse_to_unexpand

    refuse_to_unexpand(schema_editor.connection.alias)
    # In SQL: the signal of a delete() is refused, while the guard's trigger is gone by now.
    schema_editor.execute(
        f"DELETE FROM {names().switches} WHERE name = ANY(%s)", params=[list(SWITCHES)]
    )


class Migration(migrations.Migration):
    dependencies = [
        ("prefs", "0003_functions"),
        ("waffle", "0004_update_everyone_nullbooleanfield"),
    ]

    operations = [migrations.RunPython(create, remove)]

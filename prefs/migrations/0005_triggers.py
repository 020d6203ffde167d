"""The triggers on users, the typed tables, waffle's switches and the audit; rights of roles.

One statement at a time, each with a short lock timeout: CREATE TRIGGER waits for writers. Then
each role gets on the typed tables what it has on the column, and no more.

From here on code that does not name the column inserts users, hence its default. SET DEFAULT
changes the catalogue alone, so the release before runs on undisturbed.
"""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from prefs import conf
from prefs.ddl import LockedSQL
from prefs.operations import InstallMigration
from prefs.sql.names import names
from prefs.sql.triggers import capture_triggers, guard_triggers


def give_rights(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    from prefs.engine.installation import put_rights_right

    put_rights_right(schema_editor.connection.alias, conf.current(), say=print)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("prefs", "0004_switches")]

    operations = [
        LockedSQL(
            sql=f"ALTER TABLE {names().users} ALTER COLUMN {names().blob} SET DEFAULT '{{}}'::jsonb",
            reverse_sql=f"ALTER TABLE {names().users} ALTER COLUMN {names().blob} DROP DEFAULT",
        ),
        *(
            LockedSQL(sql=trigger.create, reverse_sql=trigger.drop)
            for trigger in (*guard_triggers(), *capture_triggers())
        ),
        migrations.RunPython(give_rights, migrations.RunPython.noop),
        InstallMigration(),
    ]

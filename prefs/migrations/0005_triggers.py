"""The triggers on users, the typed tables, waffle's switches and the audit.

One statement at a time, each with a short lock timeout: CREATE TRIGGER waits for writers.
Piped into `dbshell`, what sqlmigrate prints of this migration and of 0003 puts back triggers
that were disabled, dropped or altered.
"""

from django.db import migrations

from prefs.ddl import LockedSQL
from prefs.sql.triggers import capture_triggers, guard_triggers


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("prefs", "0004_switches")]

    operations = [
        LockedSQL(sql=trigger.create, reverse_sql=trigger.drop)
        for trigger in (*guard_triggers(), *capture_triggers())
    ]

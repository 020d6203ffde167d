"""The functions that reads and writes call, and those that triggers call."""

from django.db import migrations

from prefs.ddl import BoundedLocks
from prefs.sql import planned
from prefs.sql.functions import ARGUMENTS, FUNCTIONS
from prefs.sql.trigger_functions import functions


class Migration(migrations.Migration):
    dependencies = [("prefs", "0002_foreign_keys")]

    operations = [
        BoundedLocks(),
        *(
            migrations.RunSQL(
                sql=create,
                reverse_sql=f"DROP FUNCTION IF EXISTS {name}({ARGUMENTS[name]})",
            )
            for name, create in FUNCTIONS.items()
        ),
        *(
            migrations.RunSQL(
                sql=create,
                reverse_sql=f"DROP FUNCTION IF EXISTS {name}({planned.signatures()[name]})",
            )
            for name, create in planned.functions().items()
        ),
        # Trigger functions run as their owner; a temporary table must not stand in for one of
        # ours, so temporary schemas come last in their search path.
        migrations.RunSQL(
            sql="SELECT set_config('search_path', current_setting('search_path')"
            " || ', pg_temp', true)",
            reverse_sql=migrations.RunSQL.noop,
        ),
        *(
            migrations.RunSQL(sql=create, reverse_sql=f"DROP FUNCTION IF EXISTS {name}()")
            for name, create in functions().items()
        ),
    ]

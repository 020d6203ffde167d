"""The functions that reads and writes call."""

from django.db import migrations

from prefs.ddl import BoundedLocks
from prefs.sql.functions import ARGUMENTS, FUNCTIONS


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
    ]

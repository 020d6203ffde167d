"""The functions that reads and writes call, and those that triggers call."""

from django.db import migrations

from prefs.ddl import BoundedLocks, PlacedSQL
from prefs.sql.registry import called, fired


class Migration(migrations.Migration):
    dependencies = [("prefs", "0002_foreign_keys")]

    operations = [
        BoundedLocks(),
        *(
            PlacedSQL(sql=list(function.statements), reverse_sql=function.drop)
            for function in (*called(), *fired())
        ),
    ]

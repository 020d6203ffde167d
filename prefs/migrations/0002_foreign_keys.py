"""The keys to the users table, in the database alone: they cascade there.

Added NOT VALID and validated afterwards, each statement with a short lock timeout, so that
writers of the users table never wait long.
"""

from django.db import migrations

from prefs.ddl import LockedSQL
from prefs.mapping import NOTIFICATION_TABLE, USER_TABLE
from prefs.sql.keys import add_key, drop_key, validate_key
from prefs.sql.names import ARCHIVE_TABLE, MISMATCH_TABLE


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("prefs", "0001_initial")]

    operations = [
        operation
        for table in (USER_TABLE, NOTIFICATION_TABLE, ARCHIVE_TABLE, MISMATCH_TABLE)
        for operation in (
            LockedSQL(sql=add_key(table), reverse_sql=drop_key(table)),
            LockedSQL(sql=validate_key(table), reverse_sql=LockedSQL.noop),
        )
    ]

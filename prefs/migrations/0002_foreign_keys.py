"""The keys to the users table, in the database alone: they cascade there.

Added NOT VALID and validated afterwards, each statement with a short lock timeout, so that
writers of the users table never wait long.
"""

from django.db import migrations

from prefs.ddl import LockedSQL
from prefs.mapping import NOTIFICATION_TABLE, USER_TABLE
from prefs.sql.catalog import foreign_key_name
from prefs.sql.names import ARCHIVE_TABLE, names, quote


def _add(table: str) -> LockedSQL:
    n = names()
    return LockedSQL(
        # Dropped first where an earlier try got this far and no further.
        sql=f"ALTER TABLE {quote(table)} DROP CONSTRAINT IF EXISTS"
        f" {quote(foreign_key_name(table))}, ADD CONSTRAINT {quote(foreign_key_name(table))}"
        f" FOREIGN KEY (user_id) REFERENCES {n.users} ({n.key})"
        " ON DELETE CASCADE ON UPDATE CASCADE NOT VALID",
        reverse_sql=f"ALTER TABLE {quote(table)} DROP CONSTRAINT IF EXISTS {quote(foreign_key_name(table))}",
    )


def _validate(table: str) -> LockedSQL:
    return LockedSQL(
        sql=f"ALTER TABLE {quote(table)} VALIDATE CONSTRAINT {quote(foreign_key_name(table))}",
        reverse_sql=LockedSQL.noop,
    )


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("prefs", "0001_initial")]

    operations = [
        operation
        for table in (USER_TABLE, NOTIFICATION_TABLE, ARCHIVE_TABLE)
        for operation in (_add(table), _validate(table))
    ]

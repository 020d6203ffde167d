"""Takes the field `preferences` out of Django's state; its column stays.

From here on code that does not know the column inserts users, hence the database default.
SET DEFAULT changes the catalogue alone, so the release before runs on undisturbed; it needs
the table's lock for a moment, and waits for that in short tries.
"""

from typing import ClassVar

from django.db import migrations

from prefs.ddl import LockedSQL
from project.accounts.models import UserManager


class Migration(migrations.Migration):
    atomic = False

    dependencies: ClassVar[list[tuple[str, str]]] = [("accounts", "0001_initial")]

    operations: ClassVar[list[migrations.operations.base.Operation]] = [
        LockedSQL(
            sql="ALTER TABLE accounts_user ALTER COLUMN preferences SET DEFAULT '{}'::jsonb",
            reverse_sql="ALTER TABLE accounts_user ALTER COLUMN preferences DROP DEFAULT",
            state_operations=[
                migrations.RemoveField(model_name="user", name="preferences"),
                migrations.AlterModelManagers("user", [("objects", UserManager())]),
            ],
        ),
    ]

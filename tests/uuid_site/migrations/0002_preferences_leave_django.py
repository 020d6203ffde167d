"""Takes the field `preferences` out of Django's state; its column stays, with a default."""

from django.db import migrations

_ALTER = 'ALTER TABLE "Members of old" ALTER COLUMN preferences'


class Migration(migrations.Migration):
    dependencies = [("uuid_site", "0001_initial")]

    operations = [
        migrations.RunSQL(
            sql=f"{_ALTER} SET DEFAULT '{{}}'",
            reverse_sql=f"{_ALTER} DROP DEFAULT",
            state_operations=[migrations.RemoveField(model_name="member", name="preferences")],
        ),
    ]

"""The users table as this site had it before its preferences were migrated."""

import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [("auth", "0012_alter_user_first_name_max_length")]

    operations = [
        migrations.CreateModel(
            name="Member",
            fields=[
                ("password", models.CharField(max_length=128, verbose_name="password")),
                (
                    "last_login",
                    models.DateTimeField(blank=True, null=True, verbose_name="last login"),
                ),
                (
                    "code",
                    models.UUIDField(
                        db_column="Code", default=uuid.uuid4, primary_key=True, serialize=False
                    ),
                ),
                ("login", models.TextField(unique=True)),
                ("is_staff", models.BooleanField(default=False)),
                ("is_active", models.BooleanField(default=True)),
                ("preferences", models.JSONField(blank=True, default=dict, null=True)),
            ],
            options={"db_table": "Members of old"},
        ),
    ]

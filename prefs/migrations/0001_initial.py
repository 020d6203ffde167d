"""The tables: two of typed preferences, those of runs, and what is kept as evidence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps
from django.db.models import F, Q
from django.db.models.functions import Cast, Length
from django.db.models.lookups import LessThanOrEqual, Regex

from prefs.ddl import BoundedLocks, PlacedSQL
from prefs.mapping import NOTIFICATION_TABLE, USER_TABLE

# For their choices, which the database knows nothing of.
from prefs.models import AuditEntry, Run
from prefs.sql.installed import leave_room


def refuse(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    from prefs.engine.supported import refuse_unsupported

    refuse_unsupported(schema_editor.connection.alias)


def key() -> models.Field[Any, Any]:
    return models.BigAutoField(primary_key=True, serialize=False)


def owner() -> models.Field[Any, Any]:
    return models.OneToOneField(
        settings.AUTH_USER_MODEL,
        models.DO_NOTHING,
        primary_key=True,
        related_name="+",
        db_constraint=False,
        serialize=False,
    )


def unset(kind: type[models.Field[Any, Any]], *columns: str) -> Iterable[tuple[str, Any]]:
    """Columns of a typed table, which are NULL until they are set."""
    return ((column, kind(blank=True, null=True)) for column in columns)


def lease() -> list[tuple[str, Any]]:
    """What runs and ranges have in common."""
    counters = ("users", "copied", "differing", "repaired", "batches", "retries")
    return [
        ("id", key()),
        ("cursor", models.TextField(null=True)),
        *((name, models.BigIntegerField(default=0)) for name in counters),
        ("holder", models.TextField()),
        ("lease_until", models.DateTimeField(null=True)),
    ]


def audience(*flags: str) -> Iterable[models.Index]:
    """For each flag the index of those who have it on."""
    return (models.Index(fields=["user"], condition=Q((c, True)), name=f"prefs_{c}") for c in flags)


def domain(table: str, column: str, condition: Q) -> models.CheckConstraint:
    return models.CheckConstraint(condition=condition, name=f"{table}_{column}_domain")


def shape(column: str, pattern: str, longest: int) -> models.CheckConstraint:
    length = LessThanOrEqual(Length(F(column)), longest)
    return domain(USER_TABLE, column, Q((f"{column}__regex", pattern), length))


def to_the_minute(column: str) -> models.CheckConstraint:
    text = Cast(F(column), models.TextField())
    pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]:00$"
    return domain(NOTIFICATION_TABLE, column, Q(Regex(text, pattern)))


SETTINGS = ["theme", "language", "timezone", "date_format", "items_per_page", "compact_mode"]


class Migration(migrations.Migration):
    initial = True

    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        BoundedLocks(),
        migrations.RunPython(refuse, migrations.RunPython.noop),
        migrations.CreateModel(
            name="AcceptedQuarantine",
            fields=[
                ("leaf", models.TextField(primary_key=True, serialize=False)),
                ("users", models.BigIntegerField()),
                ("reason", models.TextField()),
                ("actor", models.TextField()),
                ("accepted_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "accepted quarantine",
                "verbose_name_plural": "accepted quarantine",
                "db_table": "prefs_accepted",
            },
        ),
        migrations.CreateModel(
            name="ArchiveDeparture",
            fields=[("id", key()), ("digest", models.BigIntegerField())],
            options={"db_table": "prefs_archive_departure"},
        ),
        migrations.CreateModel(
            name="ArchivedPreferences",
            fields=[
                ("user", owner()),
                ("document", models.JSONField(null=True)),
                ("digest", models.BigIntegerField()),
            ],
            options={
                "verbose_name": "archived preferences",
                "verbose_name_plural": "archived preferences",
                "db_table": "prefs_archive",
            },
        ),
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ("id", key()),
                ("event", models.TextField(choices=AuditEntry.Event)),
                ("subject", models.TextField()),
                ("reason", models.TextField(default="")),
                ("actor", models.TextField()),
                ("host", models.TextField()),
                ("program", models.TextField()),
                ("session", models.TextField()),
                ("figures", models.JSONField(default=dict)),
                ("recorded_at", models.DateTimeField()),
            ],
            options={"verbose_name_plural": "audit entries", "db_table": "prefs_audit"},
        ),
        migrations.CreateModel(
            name="Migration",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
            ],
            options={
                "permissions": (
                    ("view_migration", "Can view the preferences migration"),
                    ("operate_migration", "Can run and correct in the preferences migration"),
                    ("advance_migration", "Can take transitions of the preferences migration"),
                    ("contract_migration", "Can drop the column and remove the archive"),
                    ("view_documents", "Can view anyone's preferences"),
                    ("change_documents", "Can change anyone's preferences"),
                ),
                "managed": False,
                "base_manager_name": "objects",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Transition",
            fields=[
                ("id", key()),
                ("from_state", models.TextField()),
                ("to_state", models.TextField()),
                ("actor", models.TextField()),
                ("reason", models.TextField(default="")),
                ("gates", models.JSONField(default=list)),
                ("figures", models.JSONField(default=dict)),
                ("taken_at", models.DateTimeField()),
                ("settled_at", models.DateTimeField(null=True)),
            ],
            options={"db_table": "prefs_transition"},
        ),
        migrations.CreateModel(
            name="NotificationPreferences",
            fields=[
                ("user", owner()),
                *unset(models.BooleanField, "email_marketing", "email_product_updates"),
                *unset(models.BooleanField, "email_security", "email_mentions"),
                *unset(models.TextField, "email_digest"),
                *unset(models.BooleanField, "push_mentions", "push_messages", "push_security"),
                *unset(models.BooleanField, "sms_security"),
                *unset(models.TimeField, "quiet_hours_start", "quiet_hours_end"),
            ],
            options={
                "verbose_name": "notification preferences",
                "verbose_name_plural": "notification preferences",
                "db_table": NOTIFICATION_TABLE,
                "indexes": [
                    *audience("email_marketing", "email_product_updates"),
                    *audience("email_security", "email_mentions"),
                    models.Index(
                        fields=["user"],
                        condition=Q(email_digest__in=("daily", "weekly")),
                        name="prefs_email_digest",
                    ),
                    *audience("push_mentions", "push_messages", "push_security", "sms_security"),
                ],
                "constraints": [
                    domain(
                        NOTIFICATION_TABLE,
                        "email_digest",
                        Q(email_digest__in=("off", "daily", "weekly")),
                    ),
                    to_the_minute("quiet_hours_start"),
                    to_the_minute("quiet_hours_end"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Run",
            fields=[
                *lease(),
                ("kind", models.TextField(choices=Run.Kind)),
                ("status", models.TextField(choices=Run.Status, default="running")),
                ("phase", models.TextField(choices=Run.Phase)),
                ("error", models.TextField(default="")),
                ("paused", models.BooleanField(default=False)),
                ("stopping", models.BooleanField(default=False)),
                ("max_rate", models.IntegerField(null=True)),
                ("target_ms", models.IntegerField(null=True)),
                ("figures", models.JSONField(default=dict)),
                ("started_at", models.DateTimeField()),
                ("phase_began_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "prefs_run",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("kind",),
                        condition=~Q(status__in=("done", "abandoned")),
                        name="prefs_run_one_open_of_a_kind",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Range",
            fields=[
                *lease(),
                ("upto", models.TextField()),
                ("token", models.BigIntegerField(default=1)),
                ("run", models.ForeignKey("prefs.run", models.CASCADE, related_name="ranges")),
            ],
            options={"db_table": "prefs_range"},
        ),
        migrations.CreateModel(
            name="UserPreferences",
            fields=[
                ("user", owner()),
                *unset(models.TextField, "theme", "language", "timezone", "date_format"),
                *unset(models.IntegerField, "items_per_page"),
                *unset(models.BooleanField, "compact_mode"),
                ("residue", models.JSONField(blank=True, editable=False, null=True)),
            ],
            options={
                "verbose_name": "user preferences",
                "verbose_name_plural": "user preferences",
                "db_table": USER_TABLE,
                "indexes": [
                    models.Index(
                        fields=["user"],
                        condition=Q(residue__has_any_keys=[*SETTINGS, "notifications"]),
                        name="prefs_quarantined",
                    ),
                ],
                "constraints": [
                    domain(USER_TABLE, "theme", Q(theme__in=("light", "dark", "system"))),
                    shape("language", "^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", 35),
                    shape(
                        "timezone", "^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*)*$", 64
                    ),
                    domain(USER_TABLE, "date_format", Q(date_format__in=("iso", "us", "eu"))),
                    domain(USER_TABLE, "items_per_page", Q(items_per_page__range=(1, 500))),
                ],
            },
        ),
        migrations.CreateModel(
            name="Mismatch",
            fields=[
                ("user", owner()),
                ("leaves", models.JSONField()),
                ("blob_digest", models.TextField(null=True)),
                ("tables_digest", models.TextField(null=True)),
                ("times", models.BigIntegerField()),
                ("first_found_at", models.DateTimeField()),
                ("found_at", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "mismatches",
                "db_table": "prefs_mismatch",
            },
        ),
        migrations.CreateModel(
            name="ShadowReads",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("compared", models.BigIntegerField()),
                ("differing", models.BigIntegerField()),
                ("failed", models.BigIntegerField()),
                ("counted_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "shadow reads",
                "verbose_name_plural": "shadow reads",
                "db_table": "prefs_shadow",
            },
        ),
        migrations.CreateModel(
            name="RecordedRehearsal",
            fields=[
                ("id", key()),
                ("version", models.TextField()),
                ("fingerprint", models.TextField()),
                ("is_clean", models.BooleanField()),
                ("figures", models.JSONField()),
                ("actor", models.TextField()),
                ("recorded_at", models.DateTimeField()),
            ],
            options={"db_table": "prefs_rehearsal"},
        ),
        PlacedSQL(
            sql=[leave_room(table) for table in (USER_TABLE, NOTIFICATION_TABLE)],
            reverse_sql=PlacedSQL.noop,
        ),
    ]

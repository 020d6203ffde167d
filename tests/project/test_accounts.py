"""The site's own migration: the column stays, Django forgets it, and back."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import StateApps

from project.accounts.models import User

BEFORE = ("accounts", "0001_initial")
AFTER = ("accounts", "0002_preferences_leave_django")


def statements(*arguments: str) -> list[str]:
    output = StringIO()
    call_command("sqlmigrate", *AFTER, *arguments, stdout=output, no_color=True)
    lines = output.getvalue().splitlines()
    return [line for line in lines if line and not line.startswith("--")]


def column_default() -> str | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_default FROM information_schema.columns"
            " WHERE table_name = 'accounts_user' AND column_name = 'preferences'"
        )
        found = cursor.fetchone()
    assert found, "the column is gone"
    default: str | None = found[0]
    return default


def migrate_alone(target: tuple[str, str]) -> StateApps:
    """Take the site's migration by itself: what depends on it has tests of its own."""
    executor = MigrationExecutor(connection)
    forwards = target == AFTER
    state = executor.loader.project_state([BEFORE])
    migration = executor.loader.get_migration(*AFTER)
    with connection.schema_editor(atomic=False) as editor:
        act = migration.apply if forwards else migration.unapply
        state = act(state, editor)
    return executor.loader.project_state([target]).apps


@pytest.mark.django_db
def test_the_only_sql_of_0002_sets_the_default() -> None:
    change = "ALTER TABLE accounts_user ALTER COLUMN preferences"
    bounded = ["BEGIN;", "SET LOCAL lock_timeout = '500ms';"]
    assert statements() == [*bounded, f"{change} SET DEFAULT '{{}}'::jsonb;", "COMMIT;"]
    assert statements("--backwards") == [*bounded, f"{change} DROP DEFAULT;", "COMMIT;"]


@pytest.mark.django_db(transaction=True)
def test_0002_goes_back_and_forward_and_the_column_stays() -> None:
    assert column_default() == "'{}'::jsonb"
    before = migrate_alone(BEFORE).get_model("accounts", "User")
    assert column_default() is None
    assert "preferences" in {field.name for field in before._meta.get_fields()}
    after = migrate_alone(AFTER).get_model("accounts", "User")
    assert column_default() == "'{}'::jsonb"
    assert "preferences" not in {field.name for field in after._meta.get_fields()}


@pytest.mark.django_db
def test_code_without_the_field_inserts_a_user_whose_blob_is_an_empty_object() -> None:
    apps = MigrationExecutor(connection).loader.project_state([AFTER]).apps
    user = apps.get_model("accounts", "User").objects.create(username="new")
    with connection.cursor() as cursor:
        cursor.execute("SELECT preferences::text FROM accounts_user WHERE id = %s", [user.pk])
        assert cursor.fetchone() == ("{}",)


@pytest.mark.django_db
def test_the_release_before_reads_and_writes_beside_the_new_one() -> None:
    apps = MigrationExecutor(connection).loader.project_state([BEFORE]).apps
    previous = apps.get_model("accounts", "User").objects
    created = User.objects.create_user("new")
    old = previous.get(pk=created.pk)
    assert old.preferences == {}
    old.preferences = {"theme": "dark"}
    old.save()
    created.first_name = "Ada"
    created.save(update_fields=["first_name"])
    again = previous.get(pk=created.pk)
    assert (again.first_name, again.preferences) == ("Ada", {"theme": "dark"})


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", "accounts", check=True, dry_run=True, verbosity=0)

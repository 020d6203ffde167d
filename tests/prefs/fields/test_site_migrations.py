"""Rule: no operation of Django's migrations alters or drops the column; models of migrations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import connection, migrations, models
from django.db.migrations import Migration
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from prefs.fields import PreferencesField
from prefs.models import UserPreferences
from prefs.operations import InstallMigration, refuse_to_touch_the_field
from project.accounts.models import User
from tests.prefs.fields.people import BEFORE, add, exactly, stored
from tests.support import stores
from tests.support.places import EnterRoute
from tests.support.stores import Place

pytestmark = pytest.mark.django_db

PLAIN = models.JSONField(default=list)
TOUCHING: dict[str, Callable[[], Operation]] = {
    "removes it": lambda: migrations.RemoveField("user", "preferences"),
    "alters it": lambda: migrations.AlterField("user", "preferences", PLAIN),
    "makes it a text": lambda: migrations.AlterField("user", "preferences", models.TextField()),
    "renames it": lambda: migrations.RenameField("user", "preferences", "settings"),
    "adds it": lambda: migrations.AddField("user", "preferences", PLAIN),
    "in the database alone": lambda: migrations.SeparateDatabaseAndState(
        [migrations.RemoveField("User", "Preferences")]
    ),
}


def current_state() -> ProjectState:
    """The state of all migrations there are."""
    return MigrationExecutor(connection).loader.project_state()


def of_site(*operations: Operation) -> Migration:
    """A migration of the site's."""
    migration: Any = Migration("0009_later", "accounts")
    migration.operations = list(operations)
    found: Migration = migration
    return found


def sql_of(operation: Operation) -> list[str]:
    """The statements that the operation sends by itself, in the state that ours leave."""
    before = current_state()
    after = before.clone()
    operation.state_forwards("accounts", after)
    with connection.schema_editor(collect_sql=True, atomic=False) as editor:
        operation.database_forwards("accounts", editor, before, after)
    collected: list[str] = editor.collected_sql
    return collected


def test_to_remove_the_field_makes_no_sql() -> None:
    assert sql_of(TOUCHING["removes it"]()) == []


@pytest.mark.parametrize("name", ["alters it", "makes it a text", "renames it"])
def test_to_alter_or_rename_it_is_an_error_of_djangos(name: str) -> None:
    with pytest.raises(ValueError, match="do not properly define db_type"):
        sql_of(TOUCHING[name]())


def test_without_our_state_it_would_be_dropped() -> None:
    """The check that this shows anything: Django drops the column of a plain JSONField."""
    before = current_state()
    before.models["accounts", "user"].fields["preferences"] = models.JSONField(null=True)
    before.reload_model("accounts", "user")
    after = before.clone()
    operation = TOUCHING["removes it"]()
    operation.state_forwards("accounts", after)
    with connection.schema_editor(collect_sql=True, atomic=False) as editor:
        operation.database_forwards("accounts", editor, before, after)
    assert 'DROP COLUMN "preferences"' in " ".join(editor.collected_sql or ())


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("name", TOUCHING)
def test_a_plan_that_touches_the_field_is_refused_before_it_runs(
    name: str, backwards: bool
) -> None:
    """Case C1."""
    plan = [(of_site(migrations.RunSQL("SELECT 1")), False), (of_site(TOUCHING[name]()), backwards)]
    with pytest.raises(CommandError, match="would touch the preferences of users") as refused:
        refuse_to_touch_the_field(plan, "default")
    assert refused.value.returncode == 4
    assert "advance_prefs --to dropped" in str(refused.value)


def test_a_plan_that_deletes_the_model_is_refused() -> None:
    with pytest.raises(CommandError, match="would touch"):
        refuse_to_touch_the_field([(of_site(migrations.DeleteModel("User")), False)], "default")


def test_other_plans_are_let_through(in_route: EnterRoute) -> None:
    others: list[Operation] = [
        migrations.RemoveField("user", "first_name"),
        migrations.RemoveField("profile", "preferences"),
        migrations.AddField("user", "nickname", models.TextField(null=True)),
        migrations.DeleteModel("Profile"),
    ]
    refuse_to_touch_the_field([(of_site(*others), False)], "default")
    elsewhere: Any = Migration("0002", "shop")
    elsewhere.operations = [migrations.RemoveField("user", "preferences")]
    refuse_to_touch_the_field([(elsewhere, False)], "default")
    # After the drop the code may lose the field, too.
    in_route(Place.DROPPED)
    refuse_to_touch_the_field([(of_site(TOUCHING["removes it"]()), False)], "default")


def test_code_that_loses_the_field_too_early_is_told_by_migrate() -> None:
    """makemigrations sees the removal; migrate refuses it."""
    before = current_state()
    after = before.clone()
    del after.models["accounts", "user"].fields["preferences"]
    detector: Any = MigrationAutodetector(before, after)
    changes = detector._detect_changes()
    [migration] = changes["accounts"]
    with pytest.raises(CommandError, match="Remove field preferences from user"):
        refuse_to_touch_the_field([(migration, False)], "default")


def test_a_field_that_is_gone_before_we_come_is_an_error() -> None:
    state = current_state()
    del state.models["accounts", "user"].fields["preferences"]
    with pytest.raises(CommandError, match="as a JSONField"):
        InstallMigration().state_forwards("prefs", state)


def test_the_state_before_ours_has_a_plain_field_and_after_it_ours() -> None:
    loader = MigrationExecutor(connection).loader
    before = loader.project_state([("accounts", "0001_initial")])
    plain = before.models["accounts", "user"].fields["preferences"]
    assert type(plain) is models.JSONField
    ours = current_state().models["accounts", "user"].fields["preferences"]
    assert type(ours) is PreferencesField
    assert ours.deconstruct()[1:] == plain.deconstruct()[1:]


# --- models of migrations -------------------------------------------------------------------


def historical() -> Any:
    """The user model as a RunPython of a later migration gets it."""
    return current_state().apps.get_model("accounts", "User")


def test_a_model_of_a_later_migration_reads_by_route(place: Place) -> None:
    user = add(place)
    model = historical()
    assert model is not User
    assert model.objects.get(pk=user.pk).preferences == BEFORE
    assert model.objects.values_list("preferences", flat=True).get() == BEFORE
    assert model.objects.filter(preferences__theme="light").count() == 1
    assert [each.preferences for each in model._base_manager.iterator()] == [BEFORE]


def create(model: Any, user: Any) -> Any:
    return model.objects.create(username="new", preferences={"a": 1}).pk


def create_in_bulk(model: Any, user: Any) -> Any:
    [made] = model._base_manager.bulk_create([model(username="new", preferences={"a": 1})])
    return made.pk


def save(model: Any, user: Any) -> Any:
    found = model.objects.get(pk=user.pk)
    found.preferences = {"a": 1}
    found.save()
    return user.pk


def update(model: Any, user: Any) -> Any:
    assert model.objects.filter(pk=user.pk).update(preferences={"a": 1}) == 1
    return user.pk


def bulk_update(model: Any, user: Any) -> Any:
    found = model.objects.get(pk=user.pk)
    found.preferences = {"a": 1}
    model.objects.bulk_update([found], ["preferences"])
    return user.pk


@pytest.mark.parametrize("write", [create, create_in_bulk, save, update, bulk_update])
def test_a_model_of_a_later_migration_writes_by_route(
    place: Place, write: Callable[[Any, Any], Any]
) -> None:
    assert stored(place, write(historical(), add(place))) == exactly({"a": 1})


def test_a_model_of_a_later_migration_saves_other_fields_alone(place: Place) -> None:
    user = add(place)
    found = historical().objects.get(pk=user.pk)
    UserPreferences.objects.merge(user.pk, {"theme": "dark"})
    found.first_name = "Ada"
    found.save()
    assert stored(place, user) == exactly({**BEFORE, "theme": "dark"})


def test_a_plain_model_of_an_earlier_migration_is_refused_where_the_tables_are_read(
    place: Place,
) -> None:
    """What a migration before ours does on a fresh database goes to the column; later, never."""
    state = MigrationExecutor(connection).loader.project_state([("accounts", "0001_initial")])
    model: Any = state.apps.get_model("accounts", "User")
    user = add(place)
    if place in (Place.TABLES, Place.DROPPED):
        with pytest.raises(Exception, match=r"no longer written|does not exist"):
            model.objects.filter(pk=user.pk).update(preferences={"a": 1})
    else:
        model.objects.filter(pk=user.pk).update(preferences={"a": 1})
        assert stores.primary_text(place, user.pk) == '{"a": 1}'

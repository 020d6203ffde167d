"""Case B7: the key of users becomes bigint under the migration, in any state."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import NotSupportedError, connection, migrations, models
from django.db.migrations.state import ProjectState

from prefs.engine.integrity import problems
from prefs.engine.states import State
from prefs.models import UserPreferences
from prefs.sql import names as sql_names
from prefs.sql.registry import called
from tests.support.running import run
from tests.support.steps import ALIAS, add_users, go, rows, state, value

_DEPENDENT = ("user_preferences", "notification_preferences", "prefs_archive")


def key_types() -> set[str]:
    found = rows(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attname = 'user_id'"
        " AND attrelid = ANY(%s::text[]::regclass[])",
        list(_DEPENDENT),
    )
    return {row[0] for row in found}


def make_integer() -> None:
    """A site of before: its key, and all that was installed for it, are of type integer."""
    [(definition,)] = rows(
        "SELECT coalesce(max(pg_get_triggerdef(oid)), '') FROM pg_trigger"
        " WHERE tgname = 'prefs_capture_update'"
    )
    rows("DROP TRIGGER IF EXISTS prefs_capture_update ON accounts_user")
    for table, column in (("accounts_user", "id"), *((table, "user_id") for table in _DEPENDENT)):
        rows(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE integer")
    if definition:
        rows(definition)
    for function in called():
        rows(function.drop)
        rows(function.create.replace("bigint[]", "integer[]").replace("(bigint", "(integer")
             .replace(", bigint", ", integer").replace("key bigint", "key integer"))  # fmt: skip


def alter_key_by_django() -> None:
    """What Django runs for AutoField to BigAutoField: our foreign keys are not among its own."""
    before, after = ProjectState.from_apps(apps), ProjectState.from_apps(apps)
    before.models["accounts", "user"].fields["id"] = models.AutoField(primary_key=True)
    before.reload_model("accounts", "user")
    operation = migrations.AlterField("user", "id", models.BigAutoField(primary_key=True))
    with connection.schema_editor() as editor:
        operation.database_forwards("accounts", editor, before, after)


@pytest.mark.slow
@pytest.mark.parametrize("here", State)
def test_a_key_that_became_bigint_is_put_right_by_one_command_in_every_state(
    site: str, here: State
) -> None:
    """Case B7: prefs_read(bigint[]) did not exist, the keys were gone, the remedy was refused."""
    users = add_users({"theme": "dark"}, {"theme": "light"})
    go(here)
    make_integer()
    if here is not State.DROPPED:
        with pytest.raises(NotSupportedError, match="used in a trigger definition"):
            alter_key_by_django()
    # As the guide has it, in the same migration: PostgreSQL keeps the type of what a trigger names.
    rows("DROP TRIGGER IF EXISTS prefs_capture_update ON accounts_user")
    alter_key_by_django()
    assert key_types() == {"bigint"}
    whats = [problem.what for problem in problems(ALIAS)]
    assert "function prefs_read is not ours" in whats
    for table in _DEPENDENT:
        assert f"{table}: no constraint {table}_user_id_fkey" in "; ".join(whats)
    assert any("is of another type of key than users have" in what for what in whats)
    dry = run("install_prefs", "--dry-run")
    assert dry.status == 0
    assert [problem.what for problem in problems(ALIAS)] == whats
    assert run("install_prefs").status == 0
    assert problems(ALIAS) == []
    assert UserPreferences.objects.merge(users[0], {"n": 1}) == {"theme": "dark", "n": 1}
    assert value("SELECT count(*) FROM pg_proc WHERE proname = 'prefs_read'") == 1
    go(State.DROPPED)
    go(State.EXPANDED)
    assert state() is State.EXPANDED
    assert sql_names.names().key_type == "bigint"


def test_archived_rows_whose_user_went_without_the_key_leave_their_digests(site: str) -> None:
    """Case B7, the kind: the archive's key is put back as well, and its sums still come out."""
    users = add_users({"theme": "dark"}, {"theme": "light"})
    go(State.DROPPED)
    rows("ALTER TABLE prefs_archive DROP CONSTRAINT prefs_archive_user_id_fkey")
    rows("DELETE FROM accounts_user WHERE id = %s", users[0])
    assert value("SELECT count(*) FROM prefs_archive") == 2
    assert run("install_prefs").status == 0
    assert value("SELECT count(*) FROM prefs_archive") == 1
    assert value("SELECT count(*) FROM prefs_archive_departure") == 1
    assert run("archive_prefs").status == 0
    assert problems(ALIAS) == []


def test_what_is_right_is_left_alone(site: str) -> None:
    before = value("SELECT sum(xmin::text::bigint) FROM pg_proc WHERE proname LIKE 'prefs%%'")
    for _ in range(2):
        found = run("install_prefs", "--json")
        assert found.json == {"changed": [], "left": []}
        assert found.status == 0
    after = value("SELECT sum(xmin::text::bigint) FROM pg_proc WHERE proname LIKE 'prefs%%'")
    assert before == after
    assert value("SELECT count(*) FROM prefs_audit") == 0

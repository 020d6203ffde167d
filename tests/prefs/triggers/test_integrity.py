"""What was done behind the migration's back is a problem with a name, and its repair repairs it."""

from __future__ import annotations

import pytest

from prefs.engine.integrity import problems, wrong_triggers
from prefs.engine.look import look
from prefs.engine.states import Gate, State
from prefs.routing import DUAL_WRITE, Route
from prefs.sql.trigger_functions import functions
from prefs.sql.triggers import capture_triggers, guard_triggers
from tests.support.altered import alter_function, alter_trigger
from tests.support.refusals import assert_refused, undone
from tests.support.running import run
from tests.support.steps import ALIAS, add_users, differences, go, rows, set_blob, verify_all
from tests.support.tampering import drop_column, remove_switches, turn

TRIGGERS = [(t.table_name, t.name) for t in (*capture_triggers(), *guard_triggers())]
DAMAGE = {
    "disabled": "ALTER TABLE accounts_user DISABLE TRIGGER prefs_capture_update",
    "all disabled": "ALTER TABLE waffle_switch DISABLE TRIGGER USER",
    "for replication alone": "ALTER TABLE accounts_user"
    " ENABLE REPLICA TRIGGER prefs_capture_insert",
    "dropped": "DROP TRIGGER prefs_capture_update ON accounts_user",
    "with a condition of its own": "DROP TRIGGER prefs_capture_insert ON accounts_user;"
    " CREATE TRIGGER prefs_capture_insert AFTER INSERT ON accounts_user FOR EACH ROW"
    " WHEN (new.is_active) EXECUTE FUNCTION prefs_capture()",
    "calling another function": "CREATE OR REPLACE TRIGGER prefs_append_only"
    " BEFORE DELETE OR UPDATE ON prefs_audit"
    " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "a function emptied": "CREATE OR REPLACE FUNCTION prefs_capture() RETURNS trigger"
    " LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp"
    " SET row_security = off AS 'BEGIN RETURN NULL; END'",
    "a function that is stable": "ALTER FUNCTION prefs_capture() STABLE",
    "a function with the writer's rights": "ALTER FUNCTION prefs_guard_rows() SECURITY INVOKER",
    "a function of another path": "ALTER FUNCTION prefs_capture() SET search_path = public",
    "a function of the session's path": "ALTER FUNCTION prefs_guard_switch() RESET search_path",
    "a function with a setting more": "ALTER FUNCTION prefs_capture() SET work_mem = '1MB'",
    "a function that skips NULL": "ALTER FUNCTION prefs_guard_rows() STRICT",
    "a function that other processes run": "ALTER FUNCTION prefs_departure() PARALLEL SAFE",
    "a function dropped": "DROP FUNCTION prefs_capture CASCADE",
}


def repair() -> None:
    """What the problem says."""
    assert run("install_prefs").status == 0


def whats() -> list[str]:
    return [problem.what for problem in problems(ALIAS)]


def test_as_migrate_made_it_nothing_is_wrong_in_any_state(site: str) -> None:
    add_users({"theme": "dark"})
    for reached in [*State, *reversed(State)]:
        go(reached)
        assert problems(ALIAS) == []


@pytest.mark.parametrize("how", DAMAGE)
def test_damage_is_a_problem_a_closed_gate_and_repaired_by_what_it_says(
    site: str, how: str
) -> None:
    rows(DAMAGE[how])
    found = problems(ALIAS)
    assert found
    for problem in found:
        assert "manage.py install_prefs" in problem.repair
        assert "verify_prefs" in problem.repair
    first = wrong_triggers(look(ALIAS))[0]
    assert_refused(Gate.TRIGGERS_INTACT, State.DUAL_WRITE, str(first))
    for _ in range(2):
        repair()
        assert problems(ALIAS) == []


@pytest.mark.parametrize(("table", "name"), TRIGGERS)
@pytest.mark.parametrize("how", ["DISABLE TRIGGER", "DROP TRIGGER"])
def test_each_trigger_is_missed_by_its_name(site: str, table: str, name: str, how: str) -> None:
    said = {
        "DISABLE TRIGGER": (f"ALTER TABLE {table} DISABLE TRIGGER {name}", "is 'disabled'"),
        "DROP TRIGGER": (f"DROP TRIGGER {name} ON {table}", f"no trigger {name}"),
    }
    statement, words = said[how]
    with undone():
        rows(statement)
        [what] = whats()
    assert name in what
    assert words in what
    assert table in what


@pytest.mark.parametrize("name", functions())
def test_each_function_is_missed_by_its_name(site: str, name: str) -> None:
    with undone():
        alter_function(name, ("BEGIN", "BEGIN  "))
        assert whats() == [f"function {name} is not ours"]


def test_a_trigger_that_is_altered_a_little_is_not_ours(site: str) -> None:
    with undone():
        alter_trigger("prefs_guard_added", "INSERT OR TRUNCATE", "INSERT")
        found = whats()
    assert len(found) == 2
    assert all('trigger prefs_guard_added is "CREATE TRIGGER' in what for what in found)


def test_a_trigger_named_like_ours_is_not_ours(site: str) -> None:
    with undone():
        rows(
            "CREATE TRIGGER prefs_extra BEFORE UPDATE ON accounts_user"
            " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        )
        [what] = whats()
    assert "accounts_user: trigger prefs_extra is" in what


def test_a_trigger_that_fires_under_replication_too_is_a_trigger_that_fires(site: str) -> None:
    with undone():
        rows("ALTER TABLE accounts_user ENABLE ALWAYS TRIGGER prefs_capture_update")
        assert problems(ALIAS) == []


@pytest.mark.parametrize("reached", [State.EXPANDED, State.DUAL_WRITE, State.READ_CUTOVER])
def test_what_was_written_without_triggers_is_found_by_the_verification_it_names(
    site: str, reached: State
) -> None:
    [user] = add_users({"theme": "dark"})
    go(State.DUAL_WRITE)
    go(reached)
    rows(DAMAGE["all disabled"].replace("waffle_switch", "accounts_user"))
    set_blob(user, {"theme": "light"})
    repair()
    assert (problems(ALIAS), differences()) == ([], [user])
    assert verify_all(repair=True).repaired == 1


def test_a_missing_switch_row_is_a_problem_that_names_the_command(site: str) -> None:
    remove_switches(DUAL_WRITE)
    rows("ALTER TABLE accounts_user DISABLE TRIGGER prefs_capture_update")
    missing, disabled = problems(ALIAS)
    assert f"The row of the waffle switch {DUAL_WRITE} is missing" in missing.what
    assert "manage.py status_prefs" in str(missing)
    assert "prefs_capture_update" in disabled.what


@pytest.mark.parametrize(
    ("route", "reached", "way"),
    [
        (Route.BLOB_MIRRORED, State.EXPANDED, "rollback_prefs"),
        (Route.TABLES, State.EXPANDED, "rollback_prefs"),
        (Route.BLOB, State.READ_CUTOVER, "advance_prefs"),
    ],
)
def test_a_state_that_no_transition_led_to_is_a_problem_that_names_the_way_back(
    site: str, route: Route, reached: State, way: str
) -> None:
    go(reached)
    turn(route)
    [problem] = problems(ALIAS)
    assert problem.what.endswith(f"but the last transition on record led to {reached}")
    assert f"Run `manage.py verify_prefs`, then `manage.py {way}` until" in problem.repair


def test_a_column_that_is_gone_under_its_route_is_a_problem(site: str) -> None:
    drop_column()
    [problem] = problems(ALIAS)
    assert "the column they route to was dropped" in str(problem)


def test_a_database_for_whose_sessions_no_trigger_fires_is_named(site: str) -> None:
    """Case B14, the kind: a setting by which writes would pass the capture."""
    rows(f"ALTER DATABASE {site} SET session_replication_role = replica")
    [problem] = problems(ALIAS)
    assert f"session_replication_role is replica (role any in database {site})" in problem.what
    assert "Remove that setting" in problem.repair
    assert_refused(Gate.TRIGGERS_INTACT, State.DUAL_WRITE, "so no trigger of ours fires there")

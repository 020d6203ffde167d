"""`check --database default` finds what was done behind the migration's back, and only that."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from pytest_django import DjangoDbBlocker

from prefs.engine.states import State
from prefs.routing import READ_TABLES, Route
from prefs.sql.triggers import capture_triggers, guard_triggers
from tests.support import scratch
from tests.support.running import Outcome, run
from tests.support.steps import add_users, copy_all, go, rows, state, take, verify_all
from tests.support.tampering import remove_switches, turn


def check() -> Outcome:
    return run("check", "--database", "default")


def tables_and_triggers() -> list[tuple[str, str]]:
    return [(t.table_name, t.name) for t in (*capture_triggers(), *guard_triggers())]


@pytest.mark.parametrize("here", State)
def test_it_is_silent_in_every_state(site: str, here: State) -> None:
    add_users({"theme": "dark"})
    go(here)
    assert check().status == 0
    found = run("status_prefs", "--json")
    assert (found.status, found.json["problems"]) == (0, [])


@pytest.mark.parametrize(("table", "name"), tables_and_triggers())
def test_a_disabled_trigger_is_an_error(site: str, table: str, name: str) -> None:
    rows(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
    found = check()
    assert found.status == 1
    assert f"(prefs.E003) {table}: trigger {name} is 'disabled'" in found.err
    assert "manage.py install_prefs" in found.err


DAMAGES: dict[str, tuple[Callable[[], object], str]] = {
    "a dropped trigger": (
        lambda: rows("DROP TRIGGER prefs_capture_insert ON accounts_user"),
        "accounts_user: no trigger prefs_capture_insert",
    ),
    "an altered trigger": (
        lambda: rows(
            "CREATE OR REPLACE TRIGGER prefs_capture_update AFTER UPDATE ON accounts_user"
            " FOR EACH ROW WHEN (false) EXECUTE FUNCTION prefs_capture()"
        ),
        "trigger prefs_capture_update is 'CREATE TRIGGER",
    ),
    "an altered function": (
        lambda: rows(
            "CREATE OR REPLACE FUNCTION prefs_guard_switch() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN RETURN new; END'"
        ),
        "function prefs_guard_switch is not ours",
    ),
    "a dropped constraint": (
        lambda: rows("ALTER TABLE user_preferences DROP CONSTRAINT user_preferences_theme_domain"),
        "user_preferences: no constraint user_preferences_theme_domain",
    ),
    "a lost switch": (
        lambda: remove_switches(READ_TABLES),
        f"The row of the waffle switch {READ_TABLES} is missing",
    ),
    "a switch turned behind the guard": (
        lambda: turn(Route.BLOB_MIRRORED),
        "The state is dual_write, but the last transition on record led to expanded",
    ),
    "a switch turned to a route that nothing leads to": (
        lambda: turn(Route.TABLES),
        "The state is mirror_off, but the last transition on record led to expanded",
    ),
    "a column dropped by hand": (
        lambda: rows(
            "DROP TRIGGER prefs_capture_update ON accounts_user;"
            "ALTER TABLE accounts_user DROP COLUMN preferences"
        ),
        "The switches say BLOB, but the column they route to was dropped",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_done_by_hand_is_an_error_with_its_repair(site: str, damage: str) -> None:
    work, said = DAMAGES[damage]
    work()
    found = check()
    assert found.status == 1
    assert "prefs.E003" in found.err
    assert said in found.err
    assert run("check").status == 0
    assert run("status_prefs").status == 1


def reinstall(site: str) -> None:
    """What the hint says: the printed SQL of both migrations, run as it stands."""
    with scratch.connect(site) as session:
        for number in ("0003", "0005"):
            session.execute(run("sqlmigrate", "prefs", number).out.encode())


@pytest.mark.parametrize("damage", ["a dropped trigger", "an altered trigger"])
def test_the_hint_repairs_it(site: str, damage: str) -> None:
    DAMAGES[damage][0]()
    assert run("advance_prefs").status == 4
    reinstall(site)
    assert check().status == 0
    assert run("advance_prefs").status == 0


def test_the_hint_repairs_what_was_disabled_and_the_functions(site: str) -> None:
    for table, name in tables_and_triggers():
        rows(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
    DAMAGES["an altered function"][0]()
    reinstall(site)
    assert check().status == 0


def test_the_way_back_to_what_is_on_record_repairs_a_turned_switch(site: str) -> None:
    add_users({"theme": "dark"})
    turn(Route.BLOB_MIRRORED)
    assert "`manage.py rollback_prefs` until the state is expanded" in check().err
    assert run("rollback_prefs").status == 0
    assert (check().status, state()) == (0, State.EXPANDED)


def test_no_verification_of_before_counts_after_that_way_back(site: str) -> None:
    [user] = add_users({"theme": "dark"})
    take(State.DUAL_WRITE)
    copy_all()
    verify_all()
    turn(Route.BLOB)
    rows('UPDATE accounts_user SET preferences = \'{"theme": "light"}\' WHERE id = %s', user)
    assert "`manage.py advance_prefs` until the state is dual_write" in check().err
    assert run("advance_prefs").status == 0
    assert check().status == 0
    assert run("advance_prefs").status == 4
    assert verify_all().differing == 1


@pytest.fixture
def fresh(django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """A database that was never migrated."""
    with django_db_blocker.unblock(), scratch.database() as name, scratch.pointed_at(name):
        yield name


@pytest.mark.slow
def test_it_is_silent_before_migrate_and_while_a_migration_is_pending(fresh: str) -> None:
    assert check().status == 0
    for target in ("0002", "0004", "0005"):
        assert run("migrate", "prefs", target, "-v", "0").status == 0
        assert check().status == 0
    rows("ALTER TABLE waffle_switch DISABLE TRIGGER prefs_guard_switch")
    assert check().status == 0
    assert run("migrate", "-v", "0").status == 0
    assert check().status == 1


@pytest.mark.slow
def test_a_fresh_database_migrates_and_goes_back_and_forth(fresh: str) -> None:
    assert run("migrate", "-v", "0").status == 0
    assert check().status == 0
    assert run("migrate", "prefs", "zero", "-v", "0").status == 0
    assert rows("SELECT count(*) FROM waffle_switch") == [(0,)]
    assert check().status == 0
    assert run("migrate", "-v", "0").status == 0
    assert (check().status, state()) == (0, State.EXPANDED)

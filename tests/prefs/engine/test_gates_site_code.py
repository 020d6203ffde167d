"""The gates on code of the site's in the database that names the column, or changes it."""

from __future__ import annotations

import pytest
from django.db import connection

from prefs.engine.states import Gate, State
from prefs.mapping import BLOB_COLUMN
from prefs.sql import site_code
from tests.support import site_triggers
from tests.support.refusals import assert_refused, finding, undone
from tests.support.steps import add_users, copy_all, go, rows, state, take, verify_all

BODIES = {
    "a function": (
        "CREATE FUNCTION f(bigint) RETURNS jsonb LANGUAGE sql AS"
        " 'SELECT preferences FROM accounts_user WHERE id = $1'",
        "function f(bigint)",
    ),
    "a function in capitals": (
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS"
        " 'BEGIN UPDATE ACCOUNTS_USER SET PREFERENCES = NULL; END'",
        "function f()",
    ),
    "a procedure in another schema": (
        "CREATE SCHEMA reports; CREATE PROCEDURE reports.p() LANGUAGE plpgsql AS"
        " 'BEGIN DELETE FROM accounts_user WHERE \"preferences\" IS NULL; END'",
        "function reports.p()",
    ),
    "a function with a name of ours in another schema": (
        "CREATE SCHEMA other; CREATE FUNCTION other.prefs_capture() RETURNS trigger"
        " LANGUAGE plpgsql AS 'BEGIN NEW.preferences := NULL; RETURN NEW; END'",
        "function other.prefs_capture()",
    ),
    "a trigger that is given it": (
        "ALTER TABLE accounts_user ADD COLUMN found tsvector;"
        " CREATE TRIGGER t BEFORE UPDATE ON accounts_user FOR EACH ROW EXECUTE FUNCTION"
        " tsvector_update_trigger('found', 'pg_catalog.english', 'preferences')",
        "trigger t of accounts_user, by its arguments",
    ),
    "a view of whole rows": (
        "CREATE VIEW v AS SELECT to_jsonb(u) FROM accounts_user u",
        "view v, by whole rows",
    ),
}
HARMLESS = {
    "a function of another column": "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS"
    " 'SELECT count(*) AS preferences_seen FROM user_preferences'",
    "a view of other columns": "CREATE VIEW v AS SELECT id, username FROM accounts_user",
    "a trigger of another column": "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN NEW.last_name := upper(NEW.last_name); RETURN NEW; END';"
    " CREATE TRIGGER t BEFORE UPDATE ON accounts_user FOR EACH ROW EXECUTE FUNCTION f()",
}
TRIGGERS = {
    "before the row": (
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN NEW.preferences := NEW.preferences || ''{\"a\": 1}''; RETURN NEW; END';"
        " CREATE TRIGGER t BEFORE UPDATE ON accounts_user FOR EACH ROW EXECUTE FUNCTION f()",
        "t (f() names the column)",
    ),
    "after the statement, always enabled": (
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN UPDATE accounts_user SET preferences = NULL; RETURN NULL; END';"
        " CREATE TRIGGER t AFTER INSERT ON accounts_user EXECUTE FUNCTION f();"
        " ALTER TABLE accounts_user ENABLE ALWAYS TRIGGER t",
        "t (f() names the column)",
    ),
    "one that updates users": (
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN UPDATE ONLY public.accounts_user SET last_login = now(); RETURN NULL; END';"
        " CREATE TRIGGER t AFTER UPDATE ON accounts_user FOR EACH ROW EXECUTE FUNCTION f()",
        "t (f() updates the table)",
    ),
    "one that is given the column": (
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN EXECUTE format(''SELECT %I'', TG_ARGV[0]); RETURN NULL; END';"
        " CREATE TRIGGER t AFTER UPDATE ON accounts_user FOR EACH ROW"
        " EXECUTE FUNCTION f('preferences')",
        "t (f() is given the column)",
    ),
    "one that calls what names it": (
        "CREATE FUNCTION stamp(bigint) RETURNS void LANGUAGE sql AS"
        " 'UPDATE accounts_user SET preferences = NULL WHERE id = $1';"
        " CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM stamp(NEW.id); RETURN NULL; END';"
        " CREATE TRIGGER t AFTER UPDATE ON accounts_user FOR EACH ROW EXECUTE FUNCTION f()",
        "t (f() calls stamp(bigint), which names the column)",
    ),
}


def test_code_that_names_the_column_is_found_and_shown(site: str) -> None:
    """Case B8."""
    go(State.READ_CUTOVER)
    for statement, named in BODIES.values():
        with undone():
            rows(statement)
            found = finding(Gate.NO_CODE_NAMES_COLUMN, State.MIRROR_OFF)
        assert (found.met, found.found) == (False, named)
    for statement in HARMLESS.values():
        with undone():
            rows(statement)
            found = finding(Gate.NO_CODE_NAMES_COLUMN, State.MIRROR_OFF)
        assert (found.met, found.found) == (True, "no code in the database names preferences")


def test_code_that_names_the_column_is_refused_before_it_stands_still(site: str) -> None:
    """Case B8."""
    go(State.READ_CUTOVER)
    verify_all()
    for statement, named in list(BODIES.values())[:1]:
        rows(statement)
        assert_refused(Gate.NO_CODE_NAMES_COLUMN, State.MIRROR_OFF, named)
    rows("DROP FUNCTION f(bigint)")
    take(State.MIRROR_OFF)
    assert state() is State.MIRROR_OFF


def test_of_much_code_the_first_ten_are_shown_and_how_many_more_there_are(site: str) -> None:
    """Case B8."""
    go(State.READ_CUTOVER)
    for number in range(12):
        body = f"SELECT {BLOB_COLUMN} FROM accounts_user"
        rows(f"CREATE FUNCTION f{number:02}() RETURNS jsonb LANGUAGE sql AS '{body}'")
    found = finding(Gate.NO_CODE_NAMES_COLUMN, State.MIRROR_OFF)
    assert found.found.startswith("function f00(); function f01()")
    assert found.found.endswith("function f09(); and 2 more")
    assert found.figures == {"found": 12}


def test_a_trigger_that_may_change_the_column_is_named_with_its_function_and_why(
    site: str,
) -> None:
    """Case B2."""
    go(State.DUAL_WRITE)
    for statement, named in TRIGGERS.values():
        with undone():
            rows(statement)
            found = finding(Gate.SITE_TRIGGERS, State.READ_CUTOVER)
            assert (found.met, found.found) == (False, named)
            rows("ALTER TABLE accounts_user DISABLE TRIGGER t")
            assert finding(Gate.SITE_TRIGGERS, State.READ_CUTOVER).met
    for statement in HARMLESS.values():
        with undone():
            rows(statement)
            assert finding(Gate.SITE_TRIGGERS, State.READ_CUTOVER).met


@pytest.mark.parametrize("name", site_triggers.NAMES)
def test_it_is_refused_before_the_tables_are_read(site: str, name: str) -> None:
    """Case B2."""
    add_users({"theme": "dark"})
    go(State.DUAL_WRITE)
    copy_all()
    verify_all()
    site_triggers.after_row(name, "stamps")
    assert_refused(Gate.SITE_TRIGGERS, State.READ_CUTOVER, f"{name} ({name}() names the column)")
    site_triggers.remove(name)
    take(State.READ_CUTOVER)
    assert state() is State.READ_CUTOVER


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["we.ird", "50%", 'a"b', "été", "a|b", "(", "x\\y"])
def test_a_column_of_any_name_is_looked_for_as_it_is(name: str) -> None:
    """Case B8: the name stands in a regular expression, as itself."""
    with connection.cursor() as cursor:
        pattern = site_code.word(name)
        for text, found in ((f"new.{name} :=", True), (f"x{name}x", False), ("weXird", False)):
            cursor.execute(f"SELECT %s ~* {pattern.replace('%', '%%')}", [text])
            assert cursor.fetchone() == (found,)


def test_the_text_of_postgresqls_own_functions_is_not_searched(site: str) -> None:
    """There are thousands of them: the search would take most of a step's time."""
    plan = [line for (line,) in rows(f"EXPLAIN {site_code.naming_column()}")]
    [searched] = [number for number, line in enumerate(plan) if "prosrc ~*" in line]
    assert "CTE Scan on bodies" in plan[searched - 1]

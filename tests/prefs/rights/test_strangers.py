"""Case B3: who has no rights gets none through our functions."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction
from django.db.utils import Error

from prefs.engine.states import Gate, State
from prefs.sql.places import placed
from prefs.sql.registry import called, fired
from tests.support.refusals import assert_refused, undone
from tests.support.roles import logged_in_as
from tests.support.running import run
from tests.support.steps import add_users, go, rows

_SAMPLES = {"jsonb": '\'{"theme": ["dark"]}\'', "text": "'{}'", "text[]": "'{}'", "integer": "9999"}
_TABLES = (
    "accounts_user",
    "user_preferences",
    "notification_preferences",
    "prefs_archive",
    "prefs_archive_departure",
    "prefs_audit",
    "prefs_transition",
    "waffle_switch",
)


def everything() -> list[list[tuple[Any, ...]]]:
    return [rows(f"SELECT * FROM {table} ORDER BY 1") for table in _TABLES]


def tried(statement: str) -> str:
    """The SQLSTATE with which a statement fails, or nothing."""
    try:
        with transaction.atomic():
            rows(statement)
    except Error as error:
        return str(getattr(error.__cause__, "sqlstate", ""))
    return ""


def call(signature: str, user: int) -> str:
    types = signature.split("(", 1)[1].rstrip(")").split(", ") if "()" not in signature else []
    samples = {"bigint": str(user), "bigint[]": f"ARRAY[{user}]", **_SAMPLES}
    arguments = ", ".join(f"{samples[each]}::{each}" for each in types)
    return f"SELECT {signature.split('(', maxsplit=1)[0]}({arguments})"


@pytest.mark.parametrize("here", State)
def test_a_role_with_connect_temp_and_usage_tries_every_function_and_changes_nothing(
    app: str, site: str, here: State
) -> None:
    """Case B3: a temporary table with a trigger of ours overwrote the document of any user."""
    [user, _] = add_users({"theme": "light"}, {"theme": "light"})
    go(here)
    before = everything()
    functions = [placed(f.signature, connection) for f in called()]
    triggers = [placed(f.signature, connection) for f in fired()]
    with logged_in_as(app):
        rows("CREATE TEMP TABLE t (id bigint, user_id bigint, preferences jsonb, digest bigint)")
        for signature in triggers:
            function = signature.removesuffix("()")
            assert tried(f"SELECT {signature}") in ("42501", "0A000")
            for when in ("AFTER INSERT", "BEFORE UPDATE", "AFTER DELETE"):
                made = f"CREATE TRIGGER x {when} ON t FOR EACH ROW EXECUTE FUNCTION {function}()"
                assert tried(made) == "42501", made
        rows(f'INSERT INTO t VALUES ({user}, {user}, \'{{"theme": "dark"}}\', 7)')
        rows("UPDATE t SET preferences = '{}'")
        rows("DELETE FROM t")
        said = {call(signature, user): tried(call(signature, user)) for signature in functions}
    pure = ("prefs_document_text", "prefs_merge_patch", "prefs_changed")
    for statement, state in said.items():
        allowed = (
            [""]
            if any(name in statement for name in pure)
            else ["42501", "42703", "55000", "27000"]
        )
        assert state in allowed, (statement, state)
    assert everything() == before


def test_the_mark_and_the_token_of_a_flip_give_a_role_no_right(app: str, site: str) -> None:
    """Case B3: settings that anybody may set open no table and no switch."""
    [user] = add_users({"theme": "light"})
    go(State.READ_CUTOVER)
    before = everything()
    with logged_in_as(app):
        for statement in (
            "SELECT set_config('prefs.writing', statement_timestamp()::text, true)",
            "SELECT set_config('prefs.turning', pg_current_xact_id()::text, true)",
        ):
            with transaction.atomic():
                rows(statement)
                assert tried("UPDATE waffle_switch SET active = false") == "42501"
                assert tried(f"DELETE FROM user_preferences WHERE user_id = {user}") == "42501"
    assert everything() == before


@pytest.mark.parametrize("function", [function.name for function in fired()])
def test_a_function_that_everybody_may_call_is_noticed_and_kept_again(
    site: str, function: str
) -> None:
    """Case B3, broken on purpose: EXECUTE for PUBLIC on a function with its owner's rights."""
    rows(f"GRANT EXECUTE ON FUNCTION {function}() TO PUBLIC")
    said = f"function {function} may be called by everybody"
    assert_refused(Gate.TRIGGERS_INTACT, State.DUAL_WRITE, said)
    assert said in run("check", "--database", "default").err
    assert run("install_prefs").status == 0
    assert run("check", "--database", "default").status == 0


def test_a_trigger_function_of_ours_does_nothing_on_a_table_that_is_not_ours(site: str) -> None:
    """Case B3: even by a role that may call it, capture is for the users table alone."""
    [user] = add_users({"theme": "light"})
    go(State.READ_CUTOVER)
    before = everything()
    with undone():
        rows("CREATE TEMP TABLE t (id bigint, preferences jsonb)")
        rows("CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION prefs_capture()")
        assert tried(f'INSERT INTO t VALUES ({user}, \'{{"theme": "dark"}}\')') == "55000"
    assert everything() == before

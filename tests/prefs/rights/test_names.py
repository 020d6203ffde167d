"""Cases B4 and B5: a table or a function of the same name elsewhere never stands in for ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from prefs.engine.integrity import problems
from prefs.engine.states import State
from prefs.models import UserPreferences
from prefs.sql import catalog, copying, places
from prefs.sql.places import placed
from tests.support.running import run
from tests.support.steps import ALIAS, add_users, copy_all, go, rows, value, verify_all

_TABLES = (
    "user_preferences",
    "notification_preferences",
    "waffle_switch",
    "accounts_user",
    "prefs_run",
    "prefs_range",
)


def differences(users: list[int]) -> list[tuple[int]]:
    with connection.cursor() as cursor:
        cursor.execute(copying.difference_of(), {"ids": users})
        return list(cursor.fetchall())


@pytest.fixture
def reconnected() -> Iterator[None]:
    yield
    connection.close()


@pytest.mark.parametrize("here", State)
def test_a_temporary_table_of_the_name_is_never_taken_for_ours(
    site: str, reconnected: None, here: State
) -> None:
    """Case B4: in a table route a merge was acknowledged, and stored in a temporary table."""
    [user] = add_users({"theme": "light"})
    go(here)
    for table in _TABLES:
        rows(f"CREATE TEMP TABLE {table} (LIKE public.{table} INCLUDING ALL)")
    stored = UserPreferences.objects.merge(user, {"theme": "dark"})
    assert stored == UserPreferences.objects.document(user) == {"theme": "dark"}
    assert UserPreferences.objects.replace(user, {"theme": "system"}) == {"theme": "system"}
    for table in _TABLES:
        assert value(f"SELECT count(*) FROM pg_temp.{table}") == 0, table
    connection.close()
    assert UserPreferences.objects.document(user) == {"theme": "system"}
    assert problems(ALIAS) == []


def test_a_trigger_writes_our_tables_beside_temporary_ones(site: str, reconnected: None) -> None:
    """Case B4: what a function that a trigger calls finds by name, no session can exchange."""
    [user] = add_users({"theme": "light"})
    go(State.DUAL_WRITE)
    copy_all()
    for table in _TABLES:
        rows(f"CREATE TEMP TABLE {table} (LIKE public.{table} INCLUDING ALL)")
    rows(f'UPDATE public.accounts_user SET preferences = \'{{"theme": "dark"}}\' WHERE id = {user}')
    assert value("SELECT theme FROM public.user_preferences") == "dark"


def test_every_name_in_the_functions_and_statements_is_qualified(site: str) -> None:
    """Cases B4 and B5, the kind: with an empty search path all of it works."""
    [user] = add_users({"theme": "light"})
    assert UserPreferences.objects.document(user) == {"theme": "light"}
    go(State.DUAL_WRITE)
    copy_all()
    verify_all()
    places.schemas(connection)
    rows("SET search_path = ''")
    try:
        assert UserPreferences.objects.merge(user, {"theme": "dark"}) == {"theme": "dark"}
        assert differences([user]) == []
        for statement in (catalog.state(), catalog.writers(), catalog.dependents()):
            rows(statement)
    finally:
        connection.close()


def test_functions_in_another_schema_neither_hide_an_altered_one_nor_count_as_altered(
    site: str, reconnected: None
) -> None:
    """Case B5: a copy in pg_temp or in a tenant's schema."""
    rows("CREATE SCHEMA tenant")
    for schema in ("pg_temp", "tenant"):
        rows(
            f"CREATE FUNCTION {schema}.prefs_capture() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN RETURN NULL; END'"
        )
    rows("SET search_path = tenant, public")
    assert problems(ALIAS) == []
    original = value("SELECT pg_get_functiondef('public.prefs_capture()'::regprocedure)")
    rows(original.replace("public.prefs_capture", "tenant.prefs_capture"))
    rows("ALTER FUNCTION public.prefs_capture() STABLE")
    [problem] = problems(ALIAS)
    assert problem.what == "function prefs_capture is not ours"
    assert run("install_prefs").status == 0
    assert problems(ALIAS) == []
    assert value("SELECT to_regprocedure('tenant.prefs_capture()') IS NOT NULL")


@pytest.mark.slow
def test_a_site_in_a_schema_of_its_own_is_taken_there_and_back(
    site: str, reconnected: None
) -> None:
    """Case B4: the schema is the one in which this connection finds the tables."""
    [user] = add_users({"theme": "light"})
    rows('ALTER SCHEMA public RENAME TO "The site\'s"')
    connection.close()
    rows('SET search_path = "The site\'s"')
    with pytest.raises(ImproperlyConfigured, match="The site's"):
        UserPreferences.objects.document(user)
    rows('ALTER SCHEMA "The site\'s" RENAME TO "The site"')
    connection.close()
    rows(f'ALTER DATABASE {site} SET search_path = "The site"')
    connection.close()
    assert run("install_prefs").status == 0
    for here in [*State, *reversed(State)]:
        go(here)
        assert UserPreferences.objects.document(user) == {"theme": "light"}
        assert problems(ALIAS) == []


def test_a_statement_of_another_is_left_as_it_is(site: str) -> None:
    """Case B4, the wrapper: it touches nothing but our placeholder."""
    theirs = 'SELECT \'"?".x\', "?"'
    assert placed(theirs, connection) == theirs
    assert value("SELECT '\"?\".x'::text") == '"?".x'

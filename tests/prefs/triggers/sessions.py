"""Sessions that are set up as ours never are; what is done in the block runs in one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.stores import query


@contextmanager
def role_of_the_users_table() -> Iterator[None]:
    """One of a role that has rights on the users table and on nothing else."""
    query("CREATE ROLE prefs_test_writer")
    query("GRANT SELECT, INSERT, UPDATE, DELETE ON accounts_user TO prefs_test_writer")
    query("SET LOCAL ROLE prefs_test_writer")
    yield
    query("RESET ROLE")


@contextmanager
def an_empty_search_path() -> Iterator[None]:
    """One in which no name is found without its schema."""
    query("SET LOCAL search_path = ''")
    yield
    query("SET LOCAL search_path = DEFAULT")


@contextmanager
def tables_of_its_own_with_our_names() -> Iterator[None]:
    """One with temporary tables that stand in front of ours."""
    query("CREATE TEMP TABLE waffle_switch (name text, active boolean)")
    query("CREATE TEMP TABLE user_preferences (LIKE public.user_preferences INCLUDING ALL)")
    yield
    query("DROP TABLE pg_temp.waffle_switch, pg_temp.user_preferences")

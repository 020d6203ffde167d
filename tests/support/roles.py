"""Roles of the server for a test: made with a name of their own, logged in as, dropped."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections
from django.db.backends.signals import connection_created

from tests.support import scratch
from tests.support.steps import rows


@contextmanager
def role(kind: str, options: str = "") -> Iterator[str]:
    """A role that may log in; what it owns or was granted must be gone by the end of the block."""
    name = f"{kind}_{uuid.uuid4().hex[:8]}"
    with scratch.connect("postgres") as session:
        session.execute(f"CREATE ROLE {name} LOGIN {options}".encode())
    try:
        yield name
    finally:
        with scratch.connect("postgres") as session:
            session.execute(f"DROP ROLE {name}".encode())


@contextmanager
def logged_in_as(name: str, **settings: str) -> Iterator[None]:
    """Have every new connection of Django's in this process, in any thread, be that role's.

    With these settings of the session. Those that are open are closed.
    """

    def become(connection: Any, **_: Any) -> None:
        with connection.connection.cursor() as cursor:
            cursor.execute(f"SET SESSION AUTHORIZATION {name}")
            for setting, value in settings.items():
                cursor.execute("SELECT set_config(%s, %s, false)", [setting, value])

    connections.close_all()
    connection_created.connect(become)
    try:
        yield
    finally:
        connection_created.disconnect(become)
        connections.close_all()


def give_everything_to(owner: str) -> None:
    """Make that role the owner of every table, sequence and function of the site."""
    rows(
        f"""DO $do$ DECLARE one record; BEGIN
        FOR one IN SELECT 'TABLE ' || c.oid::regclass AS what FROM pg_class c
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
          UNION ALL SELECT 'FUNCTION ' || p.oid::regprocedure FROM pg_proc p
            WHERE p.pronamespace = 'public'::regnamespace
        LOOP EXECUTE 'ALTER ' || one.what || ' OWNER TO {owner}'; END LOOP;
        EXECUTE 'ALTER SCHEMA public OWNER TO {owner}';
        EXECUTE 'GRANT TEMPORARY ON DATABASE ' || current_database() || ' TO {owner}';
      END $do$"""
    )


# What a role needs to run a copy or a comparison; a policy decides which users it sees.
_RUNS = (
    "GRANT SELECT ON accounts_user, user_preferences, notification_preferences, waffle_switch,"
    " waffle_sample TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON prefs_run, prefs_range, prefs_transition, prefs_audit"
    " TO {role}",
    "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
    "ALTER TABLE accounts_user ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY of_tenants ON accounts_user TO {role} USING ({sees})",
)


def hide_users(role: str, sees: str) -> None:
    """Have row security on users, by which that role sees those of `sees`, a condition, alone."""
    for statement in _RUNS:
        rows(statement.format(role=role, sees=sees))


def show_users(role: str) -> None:
    """Take that away again, and what the role was granted."""
    rows("DROP POLICY of_tenants ON accounts_user")
    rows("ALTER TABLE accounts_user DISABLE ROW LEVEL SECURITY")
    rows(f"DROP OWNED BY {role}")

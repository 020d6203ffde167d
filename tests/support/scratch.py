"""Databases of their own for tests that commit, alter tables, or run other processes.

One migrated database serves as template for all processes of a run (`templates`); a test gets a
copy of it and may do anything to it. Nothing is ever done to a database that another test sees.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
from django.db import connection, connections

from tests.support import forked

ROOT = forked.ROOT
SETTINGS = "tests.support.settings"
Session = psycopg.Connection[tuple[Any, ...]]

# Every change of a schema writes rows of catalogs anew.
_CATALOGS = {
    "pg_class": "oid",
    "pg_attribute": "attrelid",
    "pg_attrdef": "oid",
    "pg_constraint": "oid",
    "pg_description": "objoid",
    "pg_index": "indexrelid",
    "pg_policy": "oid",
    "pg_proc": "oid",
    "pg_publication": "oid",
    "pg_rewrite": "oid",
    "pg_statistic_ext": "oid",
    "pg_trigger": "oid",
}
_OWN = 16384
_RECORDS = (
    "prefs_run",
    "prefs_range",
    "prefs_transition",
    "prefs_audit",
    "prefs_archive",
    "prefs_archive_departure",
    "prefs_accepted",
    "prefs_mismatch",
    "prefs_shadow",
    "prefs_rehearsal",
)
_SCHEMA = f"""SELECT (SELECT reltuples FROM pg_class WHERE oid = 'accounts_user'::regclass),
  (SELECT count(*) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
    WHERE d.datname = current_database()),
  {
    ", ".join(
        f"(SELECT sum(xmin::text::bigint * {key}::bigint) FROM {catalog} WHERE {key} >= {_OWN})"
        for catalog, key in _CATALOGS.items()
    )
}""".encode()
_END_OTHERS = """SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid()"""


def connect(database: str, application: str = "prefs tester") -> Session:
    """A session that Django knows nothing of, committing each statement."""
    connection.get_connection_params()
    where = connection.settings_dict
    return psycopg.connect(
        host=where["HOST"] or None,
        port=where["PORT"] or None,
        user=where["USER"] or None,
        password=where["PASSWORD"] or None,
        dbname=database,
        application_name=application,
        autocommit=True,
    )


def _on_server(statement: str) -> None:
    with connect("postgres") as session:
        session.execute(statement.encode())


def create(template: str = "template1") -> str:
    """A new database, copied from `template`, which nobody may be connected to."""
    name = f"prefs_scratch_{uuid.uuid4().hex[:12]}"
    _on_server(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return name


def drop(name: str) -> None:
    """Drop a database, whoever is connected to it."""
    _on_server(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def database(template: str = "template1") -> Iterator[str]:
    """A database while the block runs."""
    name = create(template)
    try:
        yield name
    finally:
        drop(name)


@contextmanager
def pointed_at(name: str) -> Iterator[None]:
    """Have Django's connections of this process, in every thread, go to the database `name`."""
    connections.close_all()
    before = connection.settings_dict["NAME"]
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connections.close_all()
        connection.settings_dict["NAME"] = before


# Switches and samples; a test that made others has left the copy as nobody else wants it.
_WAFFLES = "SELECT (SELECT count(*) FROM waffle_switch), (SELECT count(*) FROM waffle_sample)"


class Copies:
    """Copies of a template; one whose schema was left alone is emptied and used again."""

    def __init__(self, template: str) -> None:
        self._template = template
        self._spare: str | None = None
        # Of the first copy: whoever is connected to a template keeps others from copying it.
        self._schema: tuple[Any, ...] | None = None

    @contextmanager
    def one(self) -> Iterator[str]:
        """A copy for one test."""
        name, self._spare = self._spare or create(self._template), None
        if self._schema is None:
            with connect(name) as session:
                self._schema = session.execute(_SCHEMA).fetchone()
        try:
            yield name
        finally:
            if self._emptied(name):
                self._spare = name
            else:
                drop(name)

    def close(self) -> None:
        """Drop the one that was to be used again."""
        if self._spare:
            drop(self._spare)

    def _emptied(self, name: str) -> bool:
        with connect(name) as session:
            if session.execute(_SCHEMA).fetchone() != self._schema:
                return False
            session.execute(_END_OTHERS)
            session.execute("DELETE FROM accounts_user")
            # The audit, and the switches, are not emptied but past their triggers.
            # One commit: the disk is waited for once.
            with session.transaction():
                session.execute("SET session_replication_role = replica")
                for table in _RECORDS:
                    session.execute(f"DELETE FROM {table}".encode())
                session.execute("UPDATE waffle_switch SET active = false WHERE active")
                session.execute("UPDATE waffle_sample SET percent = 0 WHERE percent <> 0")
            return session.execute(_WAFFLES).fetchone() == (2, 2)


def environment(site: str, **settings: object) -> dict[str, str]:
    """The environment of a process that works on the database `site`, with PREFS_ settings."""
    seconds = {
        key: value.total_seconds() if isinstance(value, timedelta) else value
        for key, value in settings.items()
    }
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "PREFS_TEST_DATABASE": site,
        "PREFS_TEST_SETTINGS": json.dumps(seconds),
        "NO_COLOR": "1",
    }


def start(environ: dict[str, str], *arguments: str) -> forked.Process:
    """Begin `manage.py arguments` in a process of its own, with no terminal."""
    return forked.start(environ, "manage.py", *arguments)


def manage(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `manage.py arguments` to its end."""
    with start(environ, *arguments) as process:
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.wait(), out, err)


@contextmanager
def aliased(name: str) -> Iterator[str]:
    """A Django alias for the database `name`, as a site has one for each replica."""
    alias = "replica"
    connections.settings[alias] = {**connection.settings_dict, "NAME": name}
    try:
        yield alias
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]

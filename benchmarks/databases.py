"""The databases of a run: templates that are made once, and a copy of one for every round."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from django.db import connections

from prefs.sql.names import ANYWHERE, quote
from project.embedded import server
from project.embedded.cluster import Address

Session = psycopg.Connection[tuple[Any, ...]]
OURS = "prefs benchmarks"


@contextmanager
def running() -> Iterator[Address]:
    """A server of its own, with default settings, while the block runs."""
    folder = Path(tempfile.mkdtemp(prefix="prefs-benchmarks-"))
    try:
        yield server.use(folder)
    finally:
        server.leave(folder)
        server.remove(folder)
        shutil.rmtree(folder, ignore_errors=True)


def settings(address: Address, name: str, application: str) -> dict[str, Any]:
    """Django's settings of a database."""
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": address.host,
        "PORT": address.port,
        "USER": address.user,
        "PASSWORD": address.password,
        "NAME": name,
        "OPTIONS": {"application_name": application},
    }


class Databases:
    """The databases on the server of a run."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._root = self.connect("postgres")
        self._made: set[str] = set()
        self._numbers = count(1)

    def close(self) -> None:
        """Give up the session of its own; databases go with their server."""
        self._root.close()

    def connect(self, name: str) -> Session:
        """A session that Django knows nothing of, committing each statement."""
        return psycopg.connect(
            host=self.address.host,
            port=self.address.port,
            user=self.address.user,
            password=self.address.password,
            dbname=name,
            application_name=OURS,
            autocommit=True,
        )

    def one(self, name: str, statement: str) -> Any:
        """The first value that a statement gives in a database."""
        with self.connect(name) as session:
            row = session.execute(here(statement)).fetchone()
        return row[0] if row else None

    def execute(self, name: str, *statements: str) -> None:
        """Execute statements in a database, each in a transaction of its own."""
        with self.connect(name) as session:
            for statement in statements:
                session.execute(here(statement))

    def once(self, name: str, make: Callable[[str], None], template: str = "template0") -> str:
        """The template database `name`, made by `make` in a copy of `template` if it is not there.

        It is vacuumed, so that a contender does not have to do that for the load before it.
        """
        if name not in self._made:
            self._create(name, template)
            make(name)
            self.execute(name, "VACUUM (ANALYZE)", "CHECKPOINT")
            self._made.add(name)
        return name

    def forget(self, name: str) -> None:
        """Drop a template."""
        if name in self._made:
            self._made.remove(name)
            self._drop(name)

    @contextmanager
    def copied(self, template: str) -> Iterator[str]:
        """A copy of a template for one round, begun after a checkpoint."""
        name = f"round_{next(self._numbers)}"
        self._create(name, template)
        try:
            self._root.execute("CHECKPOINT")
            yield name
        finally:
            self._drop(name)

    @contextmanager
    def aliased(self, name: str) -> Iterator[str]:
        """A database as Django's alias of the same name, while the block runs."""
        connections.settings[name] = {**connections["default"].settings_dict, "NAME": name}
        try:
            yield name
        finally:
            connections[name].close()
            del connections[name]
            del connections.settings[name]

    def configure(self, **options: str | None) -> None:
        """Set server settings, or reset those given as None, and wait until they are in force."""
        for name, value in options.items():
            to = "RESET {}" if value is None else "SET {} = '" + value + "'"
            self._root.execute(f"ALTER SYSTEM {to.format(name)}".encode())
        self._root.execute("SELECT pg_reload_conf(), pg_sleep(0.5)")

    def _create(self, name: str, template: str) -> None:
        self._root.execute(
            f"CREATE DATABASE {quote(name)} TEMPLATE {quote(template)} STRATEGY file_copy".encode()
        )

    def _drop(self, name: str) -> None:
        self._root.execute(f"DROP DATABASE {quote(name)} WITH (FORCE)".encode())


def here(statement: str) -> bytes:
    """A statement as a session sends it that is not Django's: our tables are in public here."""
    return statement.replace(f"{ANYWHERE}.", '"public".').encode()

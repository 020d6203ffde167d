"""The scratch database of a rehearsal: made, named as an alias, and removed again."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DEFAULT_DB_ALIAS, connections

from prefs.conf import APPLICATION_NAME
from prefs.errors import Mistake, PrefsError
from prefs.sql.asking import execute, rows
from prefs.sql.names import quote

ALIAS = "rehearsal"


def register(alias: str, database: str) -> None:
    """Make `database`, on the server of the default database, known to Django as `alias`."""
    settings = copy.deepcopy(connections.databases[DEFAULT_DB_ALIAS])
    settings["NAME"] = database
    settings["CONN_MAX_AGE"] = None
    settings["OPTIONS"]["application_name"] = f"{APPLICATION_NAME} rehearsal"
    connections.databases[alias] = settings


@contextmanager
def scratch_database(into: str | None, *, keep: bool) -> Iterator[str]:
    """The name of a database to rehearse in, registered as `ALIAS` while this lasts.

    Without `into` it is made here, and dropped at the end unless `keep`. One that was there
    before is never dropped. Raises PrefsError where there is none, and Mistake for a site's own.
    """
    if into in {str(database["NAME"]) for database in connections.databases.values()}:
        raise Mistake(
            f"{into!r} is a database of this site, and a rehearsal drops its column. Name one"
            " that is made for it, or leave --into out."
        )
    name = into or f"prefs_rehearsal_{secrets.token_hex(4)}"
    server = connections[DEFAULT_DB_ALIAS]
    if not into:
        execute(server, f"CREATE DATABASE {quote(name)} TEMPLATE template0")
    elif not rows(server, "SELECT 1 FROM pg_database WHERE datname = %s", [name]):
        raise PrefsError(
            f"There is no database {into!r} on this server: create it, or leave --into out and"
            " the rehearsal makes one of its own."
        )
    register(ALIAS, name)
    try:
        yield name
    finally:
        connections[ALIAS].close()
        del connections[ALIAS], connections.databases[ALIAS]
        if not into and not keep:
            execute(server, f"DROP DATABASE {quote(name)} WITH (FORCE)")

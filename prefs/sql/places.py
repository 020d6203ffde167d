"""In which schema our tables and functions are, found once a connection and put into statements.

Statements name tables and functions with a placeholder for their schema (`names.qualified`). A
wrapper on Django's connections replaces it by the schema in which this connection's search path
finds the table, temporary schemas left out. So a statement is rendered once for all connections,
means the same table to each session, and a temporary table of the name is never taken for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from prefs.mapping import NOTIFICATION_TABLE, USER_TABLE
from prefs.sql.names import ANYWHERE, quote, site_tables

_PLACEHOLDER = re.compile(re.escape(ANYWHERE) + r'\."((?:[^"]|"")+)"')
# What a literal or a statement with parameters would take for something else.
_UNUSABLE = re.compile("['%]")

# current_schemas(false) is the search path without what is searched implicitly: temporary
# schemas, that is, and the system's own.
_FIND = """SELECT DISTINCT ON (c.relname) c.relname, s.name::text
  FROM unnest(pg_catalog.current_schemas(false)) WITH ORDINALITY s(name, place)
  JOIN pg_catalog.pg_namespace n ON n.nspname = s.name
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
  WHERE c.relname = ANY(%s::text[]) AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
  AND s.name !~ '^pg_temp'
  ORDER BY c.relname, s.place"""

# Pairs of table and schema, which a cache can know again.
Schemas = tuple[tuple[str, str], ...]
# By the driver's connection: another one may have another search path.
_found: WeakKeyDictionary[Any, Schemas] = WeakKeyDictionary()


def schemas(connection: BaseDatabaseWrapper) -> Schemas:
    """The tables and their schemas: users, switches, both typed tables, as far as they are there.

    Asked once a connection, as soon as all of them are there; connects where that is needed.
    Raises ImproperlyConfigured for a schema whose name cannot stand in a statement.
    """
    if connection.connection is None:
        connection.ensure_connection()
    raw: Any = connection.connection
    known = _found.get(raw)
    if known is None:
        tables = sorted({*site_tables(), USER_TABLE, NOTIFICATION_TABLE})
        with connection.wrap_database_errors, raw.cursor() as cursor:
            cursor.execute(_FIND, [tables])
            known = tuple(sorted(cursor.fetchall()))
        _refuse_unusable(schema for _, schema in known)
        if len(known) == len(tables):
            _found[raw] = known
    return known


def _refuse_unusable(names: Iterable[str]) -> None:
    for name in names:
        if _UNUSABLE.search(name):
            raise ImproperlyConfigured(
                f"The schema {name!r} holds tables of the preferences migration; expected a name"
                " without apostrophe and percent sign. Rename the schema, or move the tables."
            )


def placed(statement: str, connection: BaseDatabaseWrapper) -> str:
    """`statement` with the schemas of this connection in it.

    What is neither of the tables is with the typed ones; where those are not there yet, it
    stays unqualified.
    """
    if ANYWHERE not in statement:
        return statement
    return _put(statement, schemas(connection))


@lru_cache(maxsize=1024)
def _put(statement: str, known: Schemas) -> str:
    places = dict(known)

    def put(found: re.Match[str]) -> str:
        name = found[1].replace('""', '"')
        schema = places.get(name, places.get(USER_TABLE))
        return quote(name) if schema is None else f"{quote(schema)}.{quote(name)}"

    return _PLACEHOLDER.sub(put, statement)


def _place(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Mapping[str, Any]
) -> Any:
    return execute(placed(sql, context["connection"]), params, many, context)


def _wrap(connection: BaseDatabaseWrapper, **_: Any) -> None:
    wrappers = connection.execute_wrappers
    # First, and so outermost: `with connection.execute_wrapper(…)` takes the last one away.
    if connection.vendor == "postgresql" and _place not in wrappers:
        wrappers.insert(0, _place)


def install() -> None:
    """Have every connection of Django's, those that are open already too, place our statements."""
    connection_created.connect(_wrap, dispatch_uid="prefs.places")
    for connection in connections.all(initialized_only=True):
        _wrap(connection)

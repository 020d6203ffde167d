"""Whether row security hides users from this role, and statements that see everybody or fail.

A copy, a comparison or a count of a part of the users would be taken for one of all. So whatever
is over everybody runs with row_security off: where a policy would hide a row, that is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction

from prefs.engine import catalogs
from prefs.errors import PrefsError
from prefs.sql import registry, row_security


class UsersHidden(PrefsError):
    """Row security keeps this role, or the owner of a trigger function, from some of the rows."""

    def __init__(self, hidden: list[tuple[str, str]]) -> None:
        self.hidden = hidden
        super().__init__(f"{describe(hidden)}. Nothing was done. {REMEDY}")


REMEDY = (
    "Run this as a role that sees every row: a superuser, one with BYPASSRLS, or the owner of the"
    " tables where row security is not forced. Functions that triggers call run as their owner:"
    " ALTER FUNCTION … OWNER TO such a role, or run `manage.py install_prefs` as it."
)


def describe(hidden: list[tuple[str, str]]) -> str:
    """Who is kept from which rows, in a sentence."""
    return "; ".join(f"row security hides rows of {table} from {role}" for role, table in hidden)


def hidden_from(alias: str) -> list[tuple[str, str]]:
    """Roles of ours, this session's and the trigger functions' owners, and what hides from them.

    (role, table). Locks nothing.
    """
    [(secured,)] = catalogs.rows(alias, row_security.secured())
    return _hidden(alias) if secured else []


def _hidden(alias: str) -> list[tuple[str, str]]:
    """The same, where a table has row security."""
    fired = [catalogs.placed_in(alias, function.signature) for function in registry.fired()]
    return catalogs.rows(alias, row_security.hidden(), signatures=fired)


def must_see_everybody(alias: str) -> None:
    """Raise UsersHidden where a run over all users would miss some."""
    if hidden := hidden_from(alias):
        raise UsersHidden(hidden)


@contextmanager
def seeing_everybody(alias: str) -> Iterator[Any]:
    """A cursor whose statements see every row, or fail; in a transaction or a savepoint.

    Raises UsersHidden.
    """
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        before = see_everybody(alias)
        yield cursor
        cursor.execute(row_security.see_as_before(), {"value": before})


def rows_of_everybody(alias: str, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement that sees every row, or fails. Raises UsersHidden."""
    with seeing_everybody(alias) as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def see_everybody(alias: str) -> str:
    """To the end of the transaction that is open, every statement sees every row, or fails.

    Returns what row_security was. Raises UsersHidden.
    """
    [(before, secured, _)] = catalogs.rows(alias, row_security.see())
    if secured and (hidden := _hidden(alias)):
        raise UsersHidden(hidden)
    return str(before)

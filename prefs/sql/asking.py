"""One statement on a connection of Django's, and its answer.

In the caller's transaction where there is one. Without parameters a percent sign stands for itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

_Parameters = Mapping[str, Any] | Sequence[Any] | None


def rows(
    connection: BaseDatabaseWrapper, sql: str, params: _Parameters = None
) -> list[tuple[Any, ...]]:
    """All rows that a statement returns."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def one(connection: BaseDatabaseWrapper, sql: str, params: _Parameters = None) -> Any:
    """The first row that a statement returns, a tuple; None where it returns none."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchone()


def execute(connection: BaseDatabaseWrapper, sql: str, params: _Parameters = None) -> int:
    """Run a statement; returns how many rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)

"""DDL on a live table: a short wait for the lock, then a pause, then another try.

A statement that waits for a table lock holds up everyone who comes after it, so it never
waits long: it gives up, lets the queue through, and tries again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from django.db import OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import RunSQL

from prefs import conf
from prefs.clock import Clock
from prefs.sql.places import placed

LOCK_NOT_AVAILABLE = "55P03"
T = TypeVar("T")


class LockNotObtained(RuntimeError):
    """A table lock that could not be had within the patience of the site."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(
            f"No table lock to {what} within {seconds:.0f} s of short tries; nothing was"
            " changed. A long transaction holds the table: end it (see pg_stat_activity),"
            " then run the same command again."
        )


def sqlstate(error: BaseException) -> str:
    """The SQLSTATE behind one of Django's database errors, or the empty string."""
    return getattr(error.__cause__, "sqlstate", None) or ""


def locked(
    connection: BaseDatabaseWrapper,
    what: str,
    work: Callable[[], T],
    *,
    settings: conf.Settings,
    clock: Clock,
) -> T:
    """Run `work` in a transaction of its own with a short lock_timeout, until it gets through.

    Raises LockNotObtained after `settings.lock_patience`. Takes what locks `work` takes.
    """
    deadline = clock.now() + settings.lock_patience.total_seconds()
    while True:
        try:
            with transaction.atomic(using=connection.alias, durable=True):
                with connection.cursor() as cursor:
                    cursor.execute(timeout_statement(settings))
                return work()
        except OperationalError as error:
            if sqlstate(error) != LOCK_NOT_AVAILABLE:
                raise
            if clock.now() >= deadline:
                patience = settings.lock_patience.total_seconds()
                raise LockNotObtained(what, patience) from error
        clock.sleep(random.uniform(0.5, 1.5) * settings.ddl_lock_timeout.total_seconds())


def timeout_statement(settings: conf.Settings) -> str:
    """The SET LOCAL that bounds one wait for a table lock."""
    return f"SET LOCAL lock_timeout = '{settings.ddl_lock_timeout.total_seconds() * 1000:.0f}ms'"


class BoundedLocks(RunSQL):
    """First in an atomic migration: no statement of it waits long for a table lock."""

    def __init__(self) -> None:
        super().__init__(sql=self.noop, reverse_sql=self.noop, elidable=False)

    def _run_sql(self, schema_editor: BaseDatabaseSchemaEditor, sqls: Any) -> None:
        schema_editor.execute(timeout_statement(conf.current()), params=None)


class PlacedSQL(RunSQL):
    """A migration's SQL over our tables, printed and run with the schemas they are in."""

    def _run_sql(self, schema_editor: BaseDatabaseSchemaEditor, sqls: Any) -> None:
        for statement in self._statements(schema_editor, sqls):
            schema_editor.execute(statement, params=None)

    @staticmethod
    def _statements(schema_editor: BaseDatabaseSchemaEditor, sqls: Any) -> list[str]:
        statements = [sqls] if isinstance(sqls, str) else sqls
        return [placed(statement, schema_editor.connection) for statement in statements]


class LockedSQL(PlacedSQL):
    """The same where it needs a lock on a live table: each statement is retried alone.

    For migrations with `atomic = False`.
    """

    def _run_sql(self, schema_editor: BaseDatabaseSchemaEditor, sqls: Any) -> None:
        settings = conf.current()
        for statement in self._statements(schema_editor, sqls):
            if schema_editor.collect_sql:
                # What runs, but for the retries.
                for printed in ("BEGIN", timeout_statement(settings), statement, "COMMIT"):
                    schema_editor.execute(printed)
                continue
            locked(
                schema_editor.connection,
                f"run `{statement}`",
                partial(schema_editor.execute, statement, params=None),
                settings=settings,
                clock=Clock(),
            )

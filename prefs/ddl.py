"""DDL on a live table: a short wait for the lock, then a pause, then another, longer try.

A statement that waits for a table lock holds up everyone who comes after it, so it never
waits long: it gives up, lets the queue through, and tries again. The first tries are the
shortest; where transactions hold the table one after the other, only longer ones get through.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from django.db import OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import RunSQL

from prefs import conf
from prefs.blockers import Blocker, described
from prefs.clock import Clock
from prefs.errors import PrefsError
from prefs.sql import catalog
from prefs.sql.asking import execute, rows
from prefs.sql.names import names
from prefs.sql.places import placed

LOCK_NOT_AVAILABLE = "55P03"
# No live statement waits for longer than this behind the first try; each is twice the one before.
FIRST_TRY = timedelta(milliseconds=40)
_TELL_EVERY = 2.0
_TOLD = 3
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Tries:
    """How long tries at a table lock are, and how long they go on; whom they tell, who ends them.

    `stopped` is asked between two tries.
    """

    longest: timedelta
    patience: timedelta
    clock: Clock = field(default_factory=Clock)
    notice: Callable[[str], None] = lambda _: None
    stopped: Callable[[], bool] = lambda: False


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The lock that is tried for, so that it can be said who is in its way.

    Readers are in the way of an ACCESS EXCLUSIVE lock alone.
    """

    tables: tuple[str, ...] = ()
    against_readers: bool = True

    def held_by(self, alias: str) -> set[str]:
        """The transactions that are in its way now."""
        connection = connections[alias]
        tables = [placed(table, connection) for table in self.tables or (names().users,)]
        holders = catalog.holders(against_readers=self.against_readers)
        return {name for (name,) in rows(connection, holders, {"tables": tables})}


class LockNotObtained(PrefsError):
    """A table lock that could not be had within the patience of the site."""

    def __init__(self, what: str, tried: Tried) -> None:
        super().__init__(
            f"No table lock to {what} within {tried.patience:.0f} s of short tries"
            f" ({tried.count}, the last of {tried.length.total_seconds() * 1000:.0f} ms); nothing"
            f" was changed. {tried.why()} Then run the same command again."
        )


class TriesStopped(RuntimeError):
    """An operator ended the tries at a table lock."""

    def __init__(self, what: str, tried: Tried) -> None:
        super().__init__(
            f"Stopped after {tried.count} tries at the table lock to {what}; nothing was changed."
            " Run the same command again."
        )


class Tried:
    """What tries at a lock have met so far."""

    def __init__(self, alias: str, what: str, wanted: Wanted, tries: Tries) -> None:
        self._alias = alias
        self._what = what
        self._wanted = wanted
        self._tries = tries
        self._told = tries.clock.now()
        # Those that were in the way at every look, and those of the last look.
        self._lasting: set[str] | None = None
        self._now: list[Blocker] = []
        self._oldest = 0.0
        self.count = 0
        self.patience = tries.patience.total_seconds()
        self.length = min(FIRST_TRY, tries.longest)

    def failed(self) -> None:
        """Count a try, look who was in its way, and say so every few seconds."""
        self.count += 1
        held_by = self._wanted.held_by(self._alias)
        self._lasting = held_by if self._lasting is None else self._lasting & held_by
        self._now = described(self._alias, held_by)
        self._oldest = max([self._oldest, *(each.seconds for each in self._now)])
        if self._tries.clock.now() - self._told >= _TELL_EVERY:
            self._told = self._tries.clock.now()
            self._tries.notice(
                f"to {self._what}: {self.count} tries at its table lock, the last of"
                f" {self.length.total_seconds() * 1000:.0f} ms; waiting for {_list(self._now)}"
            )

    def longer(self) -> None:
        """The next try is twice as long, up to the longest."""
        self.length = min(2 * self.length, self._tries.longest)

    def why(self) -> str:
        """What was in the way, and what to do about it."""
        lasting = described(self._alias, self._lasting or set())
        if lasting:
            return f"It was held all the time by {_list(lasting)}: end that."
        if not self._oldest:
            return "Who held it was gone at each look."
        return (
            f"Nobody held it all the time: transactions of up to {self._oldest:.1f} s came one"
            f" after the other, at last {_list(self._now)}. Choose a quieter hour, or raise"
            " PREFS_DDL_LOCK_TIMEOUT beyond the longest of them; for so long writers may wait."
        )


def _list(them: list[Blocker]) -> str:
    oldest = sorted(them, key=lambda each: -each.seconds)
    said = "; ".join(map(str, oldest[:_TOLD])) or "nobody any more"
    return f"{said} and {len(them) - _TOLD} more" if len(them) > _TOLD else said


def sqlstate(error: BaseException) -> str:
    """The SQLSTATE behind one of Django's database errors, or the empty string."""
    return getattr(error.__cause__, "sqlstate", None) or ""


def locked(
    connection: BaseDatabaseWrapper,
    what: str,
    work: Callable[[], T],
    tries: Tries,
    *,
    wanted: Wanted | None = None,
    first: Callable[[], object] = lambda: None,
) -> T:
    """Run `work` in a transaction of its own with a short lock_timeout, until it gets through.

    `what` is said of it: "drop the column". `wanted` is the lock that it takes, by default the
    strongest on users. `first` is done in the same transaction before the wait is bounded: it
    bounds its own. Raises LockNotObtained after `tries.patience`, and TriesStopped. Takes what
    locks `work` takes.
    """
    clock, alias = tries.clock, connection.alias
    deadline = clock.now() + tries.patience.total_seconds()
    tried = Tried(alias, what, wanted or Wanted(), tries)
    while True:
        try:
            with transaction.atomic(using=alias, durable=True):
                first()
                execute(connection, timeout_statement(tried.length))
                # It waits no longer than that; what it does then, it does to the end.
                execute(connection, "SET LOCAL statement_timeout = 0")
                return work()
        except OperationalError as error:
            if sqlstate(error) != LOCK_NOT_AVAILABLE:
                raise
            tried.failed()
            if tries.stopped():
                raise TriesStopped(what, tried) from error
            if clock.now() >= deadline:
                raise LockNotObtained(what, tried) from error
        clock.sleep(random.uniform(0.5, 1.5) * tried.length.total_seconds())
        tried.longer()


def timeout_statement(than: timedelta) -> str:
    """The SET LOCAL that bounds each wait for a lock in this transaction from here on.

    Never to 0 ms, which would be without end.
    """
    return f"SET LOCAL lock_timeout = '{max(1, round(than.total_seconds() * 1000))}ms'"


class BoundedLocks(RunSQL):
    """First in an atomic migration: no statement of it waits long for a table lock."""

    def __init__(self) -> None:
        super().__init__(sql=self.noop, reverse_sql=self.noop, elidable=False)

    def _run_sql(self, schema_editor: BaseDatabaseSchemaEditor, sqls: Any) -> None:
        schema_editor.execute(timeout_statement(conf.current().ddl_lock_timeout), params=None)


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
        tries = Tries(
            longest=settings.ddl_lock_timeout, patience=settings.lock_patience, notice=print
        )
        for statement in self._statements(schema_editor, sqls):
            if schema_editor.collect_sql:
                # What runs, but for the retries.
                for printed in ("BEGIN", timeout_statement(tries.longest), statement, "COMMIT"):
                    schema_editor.execute(printed)
                continue
            locked(
                schema_editor.connection,
                f"run `{statement}`",
                partial(schema_editor.execute, statement, params=None),
                tries,
            )

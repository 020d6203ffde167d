"""Broken protocols of the manager: how it locks, reads and writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from prefs import managers, owners
from prefs.routing import Route
from prefs.sql import writes as sql
from prefs.sql.documents import tables_document
from prefs.sql.expressions import put_together
from prefs.sql.names import literal
from tests.prefs.interleavings.protocols import broken, changed, replaced
from tests.prefs.managers import test_broken_protocols as older

_LOST_UPDATE = tuple(
    f"pair in {state}, mirror equal: merge and merge_other"
    for state in ("expanded", "dual_write", "read_cutover", "mirror_off")
)


@broken(*_LOST_UPDATE)
def a_write_without_a_lock() -> Iterator[None]:
    """The first statement reads the route and locks nothing."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        older.without_a_lock(monkeypatch)
        yield


@broken(*_LOST_UPDATE)
def a_lock_and_a_write_in_one_statement() -> Iterator[None]:
    """What is stored is read by the statement that waits for the lock, so before the wait."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        older.with_lock_and_write_in_one_statement(monkeypatch)
        yield


@broken(*_LOST_UPDATE)
def a_merge_from_the_instance() -> Iterator[None]:
    """The patch is applied in Python to a document that was read before the lock."""

    def merge(self: Any, user_id: Any, patch: dict[str, Any]) -> Any:
        merged = {**self.document(user_id), **patch}
        return self.replace(user_id, {k: v for k, v in merged.items() if v is not None})

    with replaced("merge", merge, managers.UserPreferencesManager):
        yield


@broken(*_LOST_UPDATE[2:])
def a_typed_row_read_by_the_locking_statement() -> Iterator[None]:
    """The lock's own statement returns the document of the typed rows; it was read before."""
    stash: ContextVar[str] = ContextVar("stash")
    plain, call, write = sql.lock(), sql.write, sql.writing
    level = "current_setting('transaction_isolation')"
    reading = changed(plain, level, f"{level}, {tables_document('u.id')}::text")

    def lock(cursor: Any, key: Any) -> Route:
        cursor.execute(reading, {"user": key})
        row = cursor.fetchone()
        if row is None:
            raise owners.no_such_user(key)
        dual_write, read_tables, isolation, text = row
        stash.set(text)
        return managers._route(dual_write, read_tables, isolation)

    def with_stashed(route: Route, incoming: str) -> str:
        if not route.reads_tables:
            return call(route, incoming)
        stored = literal(stash.get()).replace("%", "%%")
        statement = write(route, incoming, there=True)
        return changed(statement, put_together("k"), f"{stored}::jsonb")

    with replaced("_lock", lock, managers), replaced("write", with_stashed, sql):
        yield


@broken("copy in dual_write, mirror not copied: copy and merge")
def a_lock_for_update() -> Iterator[None]:
    """The lock is FOR UPDATE, for which foreign-key checks wait: it deadlocks with the copy."""
    text = changed(sql.lock(), "FOR NO KEY UPDATE", "FOR UPDATE")
    with replaced("lock", lambda: text, sql):
        yield


@broken("pair in dual_write, mirror equal: merge and raw")
def tables_locked_before_users() -> Iterator[None]:
    """A write locks the typed row first, and the user's row after it: it deadlocks."""
    usual = managers._lock

    def lock(cursor: Any, key: Any) -> Route:
        cursor.execute("SELECT FROM user_preferences WHERE user_id = %s FOR NO KEY UPDATE", [key])
        return usual(cursor, key)

    with replaced("_lock", lock, managers):
        yield

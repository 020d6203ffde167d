"""Broken protocols of the engine: catch-up, drain, evidence, cursor; and of the route."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from django.db import connections, transaction

from prefs import managers
from prefs.engine import conditions, flips, repair, sight
from prefs.engine.batches import Batch, BatchRunner, to_key
from prefs.engine.leases import HeldRange, Tally
from prefs.engine.repair import Direction
from prefs.routing import Route
from prefs.sql import catalog, copying, row_security
from tests.prefs.interleavings.protocols import KILLED, broken, changed, replaced
from tests.support.stores import query


def _overwrite(new: Callable[[Any, Sequence[Any]], None]) -> AbstractContextManager[None]:
    ours = repair.overwrite_mirror

    def overwrite(cursor: Any, ids: Sequence[Any], direction: Direction) -> int:
        if direction is Direction.REVERSE:
            return ours(cursor, ids, direction)
        if ids:
            new(cursor, ids)
        return len(ids)

    return replaced("overwrite_mirror", overwrite, repair)


@broken(
    "repair in dual_write, mirror behind: repair and raw",
    "repair in dual_write, mirror behind: repair and previous",
)
def catch_up_without_the_row_lock() -> Iterator[None]:
    """Catch-up reads the blobs in one statement and writes the tables in another, unlocked."""

    def overwrite(cursor: Any, ids: Sequence[Any]) -> None:
        cursor.execute(
            "SELECT id, preferences::text FROM accounts_user WHERE id = ANY(%s)", [list(ids)]
        )
        keys, texts = zip(*cursor.fetchall(), strict=True)
        source = "(SELECT * FROM unnest(%(i)s::bigint[], %(t)s::text[]::jsonb[]) s(user_id, doc))"
        cursor.execute(f"WITH {copying.upserts(source)}", {"i": list(keys), "t": list(texts)})

    with _overwrite(overwrite):
        yield


@broken("way in expanded, mirror behind: raw and forward")
def catch_up_that_only_inserts() -> Iterator[None]:
    """Catch-up copies users who have no rows, and leaves those who have some."""

    def copy(cursor: Any, ids: Sequence[Any]) -> None:
        cursor.execute(copying.copy_missing(), {"after": None, "upto": max(ids)})

    with _overwrite(copy):
        yield


_remembered: ContextVar[Route | None] = ContextVar("remembered", default=None)


@broken("way in mirror_off, mirror behind: merge_twice and back")
def a_route_that_a_process_remembers() -> Iterator[None]:
    """The route of a process's first write serves all that come after it, as a cache would."""

    route_of = managers._route

    def remember(*switches: Any) -> Route:
        route = _remembered.get() or route_of(*switches)
        _remembered.set(route)
        return route

    with replaced("_route", remember, managers):
        yield


@broken(
    "way in expanded, mirror equal: raw and forward",
    "way in expanded, mirror equal: merge and forward",
    "way in mirror_off, mirror equal: merge and back",
)
def no_drain() -> Iterator[None]:
    """A flip counts as settled once it is committed."""
    with replaced("drain", lambda *args, **options: True, flips):
        yield


@broken(
    "way in expanded, mirror equal: previous and forward",
    "way in mirror_off, mirror equal: prepare and back",
)
def a_wait_for_a_fixed_time() -> Iterator[None]:
    """A flip waits so long, whoever still writes by the old route."""

    def wait(*args: Any, **options: Any) -> bool:
        time.sleep(0.02)
        return True

    with replaced("drain", wait, flips):
        yield


@broken("way in expanded, mirror equal: prepare and forward")
def a_drain_that_ignores_prepared_transactions() -> Iterator[None]:
    """The drain lists sessions alone."""
    ours = "s.pid IS DISTINCT FROM pg_backend_pid()"
    text = changed(catalog.writers(), ours, "s.pid <> pg_backend_pid()")
    with replaced("writers", lambda: text, catalog):
        yield


def on_users_alone(writers: str) -> str:
    """The list of a drain, narrowed to those who hold a lock on users."""
    narrowed = re.sub(r"(w\.relation IN \([^,]+)[^)]*", r"\1", writers)
    assert narrowed != writers, writers
    return narrowed


@broken(
    "way in mirror_off, mirror equal: raw_row and back",
    "way in mirror_off, mirror equal: raw_notification_row and back",
)
def a_drain_by_locks_on_users_alone() -> Iterator[None]:
    """The drain overlooks who writes the typed tables alone."""
    text = on_users_alone(catalog.writers())
    with replaced("writers", lambda: text, catalog):
        yield


@broken(
    "evidence in expanded, mirror equal: verification and raw and hasty",
)
def a_verification_begun_before_the_drain_is_accepted() -> Iterator[None]:
    """The gate takes the latest verification, whenever it began."""
    with replaced(
        "last_settled", lambda alias: datetime(2000, 1, 1, tzinfo=UTC), conditions.evidence
    ):
        yield


@broken(
    "hidden in expanded, mirror not copied: tenant",
    "hidden in dual_write, mirror not copied: tenant",
)
def a_run_under_row_security() -> Iterator[None]:
    """Statements over everybody see what a policy shows their role, and take it for everybody."""
    settings = changed(copying.batch_settings(), "'row_security', 'off'", "'row_security', 'on'")
    see = changed(row_security.see(), "'row_security', 'off'", "'row_security', 'on'")
    functions = (copying.COPY, copying.DIFFERENCE)
    for name in functions:
        query(f"ALTER FUNCTION {name} RESET row_security")
    try:
        with (
            replaced("hidden_from", lambda alias: [], sight),
            replaced("_hidden", lambda alias: [], sight),
            replaced("see", lambda: see, row_security),
            replaced("batch_settings", lambda: settings, copying),
        ):
            yield
    finally:
        for name in functions:
            query(f"ALTER FUNCTION {name} SET row_security = off")


@broken(KILLED)
def a_cursor_committed_apart_from_its_rows() -> Iterator[None]:
    """A batch commits where it is, and then its rows."""

    def one_batch(runner: BatchRunner, holding: HeldRange, batch: Batch, size: int) -> int:
        after, last = to_key(holding.row.cursor), to_key(holding.row.upto)
        with connections[runner.alias].cursor() as cursor:
            cursor.execute(copying.chunk_end(), {"after": after, "last": last, "size": size})
            upto, users = cursor.fetchone()
            if users:
                tally = Tally(copied=users)
                with transaction.atomic(using=runner.alias):
                    orders = holding.advance(cursor, upto, users, tally)
                holding.advanced(orders, upto)
                with transaction.atomic(using=runner.alias):
                    batch(cursor, after, upto)
        return int(users)

    with replaced("_batch", one_batch, BatchRunner):
        yield

"""Broken protocols of the canary: one that stays, one that serves writes, one that returns late."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefs import managers
from prefs.routing import Route
from prefs.sql import canary
from prefs.sql.shadow import FOUND
from prefs.sql.trigger_functions import GUARD_SWITCH, functions
from tests.prefs.interleavings.protocols import broken, replaced
from tests.support.altered import alter_function
from tests.support.stores import query


@contextmanager
def _altered(name: str, old: str, new: str) -> Iterator[None]:
    alter_function(name, (old, new))
    try:
        yield
    finally:
        query(functions()[name].create)


@broken("canary in dual_write, mirror equal: there and back and raw and read")
def a_canary_that_outlives_the_flip_back() -> Iterator[None]:
    """A flip leaves the canary as it is, and it is up again with the next dual-write."""
    with _altered(GUARD_SWITCH, canary.lower_to_zero(), "  NULL;"):
        yield


@broken(
    "canary in dual_write, mirror equal: up and down and merge and read",
    "canary in dual_write, mirror equal: up and over and merge and read",
)
def a_canary_that_serves_writes() -> Iterator[None]:
    """Whoever would read the tables by the canary writes them as if they were the primary."""
    lock = managers._lock

    def by_canary(cursor: Any, key: Any) -> Route:
        route = lock(cursor, key)
        if route is not Route.BLOB_MIRRORED:
            return route
        chosen = canary.is_chosen("%(key)s", "c.canary")
        up = f"SELECT {chosen} FROM {canary.settings()} c"
        cursor.execute(up, {"key": key})
        return Route.TABLES if cursor.fetchone() == (True,) else route

    with replaced("_lock", by_canary, managers):
        yield


@broken("canary in dual_write, mirror equal: slowly up and mismatch and read")
def a_return_that_comes_late() -> Iterator[None]:
    """A mismatch lowers the canary that it sees, and not the one that is just being raised."""
    with _altered(FOUND, "FOR UPDATE;", ";"):
        yield

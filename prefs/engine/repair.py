"""Make the mirror of some users equal to their primary, under their row locks.

Catch-up, `verify_prefs --repair` and the reverse backfill are this one function, with the
statements that dual-write uses, so they cannot disagree with it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connections

from prefs.engine.sight import rows_of_everybody
from prefs.errors import Refused
from prefs.managers import lock_users
from prefs.routing import Route
from prefs.sql import catalog, copying
from prefs.sql.asking import one


class Direction(enum.Enum):
    """From which store to which: always from the primary."""

    FORWARD = "blob to tables"
    REVERSE = "tables to blob"

    @classmethod
    def of(cls, route: Route) -> Direction:
        """The direction that leaves from the primary of `route`."""
        return cls.REVERSE if route.reads_tables else cls.FORWARD

    @property
    def opposite(self) -> Direction:
        """The other one."""
        return Direction.REVERSE if self is Direction.FORWARD else Direction.FORWARD

    def must_hold(self, route: Route) -> None:
        """Raise PrimaryMoved unless this direction still leaves from the primary."""
        if Direction.of(route) is not self:
            primary = "tables are" if route.reads_tables else "blob is"
            option = " --reverse" if route.reads_tables else ""
            raise PrimaryMoved(
                f"Copying {self.value} is refused: the {primary} the primary (route {route.name})"
                " and would be overwritten with older values. Run `manage.py"
                f" backfill_prefs{option}` instead."
            )


class PrimaryMoved(Refused):
    """The store that would be overwritten is the one that is read."""


def overwrite_mirror(cursor: Any, ids: Sequence[Any], direction: Direction) -> int:
    """Overwrite the mirror of the users `ids`; returns how many users were locked.

    Takes their row locks in key order until the transaction ends. Raises PrimaryMoved, by
    the switches that the locking statement read, and UnsupportedIsolation.
    """
    locked = lock_users(cursor, ids) if ids else None
    if locked is None:
        return 0
    route, keys = locked
    direction.must_hold(route)
    parameters = {"ids": keys}
    if direction is Direction.FORWARD:
        cursor.execute(copying.overwrite_tables(), parameters)
    else:
        cursor.execute(copying.settle_tables(), parameters)
        cursor.execute(copying.overwrite_blob(), parameters)
    return len(keys)


def make_equal(
    cursor: Any,
    after: Any,
    upto: Any,
    direction: Direction,
    report: Callable[[list[Any]], None] = lambda _: None,
) -> tuple[int, int]:
    """Overwrite the mirror of a key range where it differs: (differing, overwritten) users.

    Whoever was not there to be locked is gone, or has another key by now, which may be in the
    range as well: then it is looked through again. Locks and errors as `overwrite_mirror`.
    """
    found = overwritten = 0
    while ids := differing(cursor, after, upto):
        report(ids)
        locked = overwrite_mirror(cursor, ids, direction)
        found, overwritten = found + len(ids), overwritten + locked
        if locked == len(ids):
            break
    return found, overwritten


def differing(cursor: Any, after: Any, upto: Any) -> list[Any]:
    """The users of a key range whose stores differ, in one snapshot."""
    cursor.execute(copying.difference(), {"after": after, "upto": upto})
    return [row[0] for row in cursor.fetchall()]


def count_users(alias: str) -> int:
    """About how many users there are: the planner's figure, or a count of a few."""
    [estimate] = one(connections[alias], catalog.users_estimate())
    if estimate == 0:
        [(estimate,)] = rows_of_everybody(alias, catalog.users_up_to(), limit=1_000_000)
    return int(estimate)

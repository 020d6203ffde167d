"""Leases: which worker holds a range of a run, and what one that lost it may no longer do.

Every batch renews the lease of its range under the fencing token, in the transaction of the batch.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Any

from django.db import connections, transaction

from prefs.conf import Settings
from prefs.errors import HeldElsewhere
from prefs.models import Range, Run
from prefs.sql import ranges as sql

OPEN = (Run.Status.RUNNING, Run.Status.INTERRUPTED, Run.Status.FAILED)


class RunHeld(HeldElsewhere):
    """Another process holds what this one would need for itself."""


class LeaseLost(HeldElsewhere):
    """This process was too slow: its lease ran out and another took over."""

    def __init__(self, what: Run | Range) -> None:
        super().__init__(
            f"The lease of {what} was lost to another process; this one stopped, and what it"
            " had not committed is undone. See `manage.py status_prefs`."
        )


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What one batch did."""

    copied: int = 0
    differing: int = 0
    repaired: int = 0


@dataclass(frozen=True)
class Orders:
    """What an operator wants of a run now, and how far all of its workers have come."""

    paused: bool = False
    stopping: bool = False
    max_rate: int | None = None
    target_ms: int | None = None
    workers: int = 1
    users: int = 0
    differing: int = 0


class HeldRange:
    """A range in this process's hand: where it is, and the orders it was given last."""

    def __init__(self, row: Range, alias: str, settings: Settings) -> None:
        self.row = row
        self.alias = alias
        self._lease = settings.lease
        self.orders = Orders(users=row.users, differing=row.differing)
        self.retries = 0

    def advance(self, cursor: Any, upto: Any, users: int, tally: Tally) -> Orders:
        """Record a batch in its own transaction and renew the lease. Raises LeaseLost.

        Locks the row of the lease until the transaction ends.
        """
        place = {"cursor": None if upto is None else str(upto), "lease": self._lease}
        held = {"id": self.row.pk, "token": self.row.token, "retries": self.retries}
        added = {**vars(tally), "users": users, "batches": int(users > 0)}
        cursor.execute(sql.advance(), {**added, **place, **held})
        found = cursor.fetchone()
        if found is None:
            raise LeaseLost(self.row)
        return Orders(*found)

    def advanced(self, orders: Orders, upto: Any) -> None:
        """Follow what has been committed. A batch that fails leaves this copy as it was."""
        self.orders = orders
        self.row.cursor = self.row.cursor if upto is None else str(upto)
        self.retries = 0

    def renew(self) -> None:
        """Renew the lease without a batch, and hear the orders. Raises LeaseLost."""
        with transaction.atomic(using=self.alias), connections[self.alias].cursor() as cursor:
            orders = self.advance(cursor, None, 0, Tally())
        self.advanced(orders, None)


def holder() -> str:
    """Who this process is, for other operators."""
    return f"pid {os.getpid()} on {socket.gethostname()}"

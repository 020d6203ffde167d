"""Transactions that something waits for, as an operator can find them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.db import connections

from prefs.sql import catalog
from prefs.sql.asking import rows


@dataclass(frozen=True)
class Blocker:
    """A transaction that is waited for: a session's, or a prepared one."""

    pid: int | None
    name: str
    state: str
    seconds: float
    statement: str

    def __str__(self) -> str:
        age = f"{self.seconds:.0f} s" if self.seconds >= 10 else f"{self.seconds:.1f} s"
        if self.pid is None:
            return f"the prepared transaction {self.name!r} ({self.state}, {age})"
        who = f"pid {self.pid} ({self.name or 'unnamed'}, {self.state}, {age})"
        return f"{who}: {self.statement}"


def described(alias: str, transactions: Collection[str]) -> list[Blocker]:
    """What those virtual transactions are doing, as far as they are there still."""
    waited_for = {"writers": sorted(transactions)}
    return [
        Blocker(*row) for row in rows(connections[alias], catalog.describe_writers(), waited_for)
    ]

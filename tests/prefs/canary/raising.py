"""A site in which the canary can be raised, and what tests of it do over and over."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from prefs.engine import audit, canary
from prefs.engine.states import State
from prefs.routing import CANARY
from prefs.sql.places import placed
from tests.support.steps import ALIAS, SOON, TESTER, copy_all, go, rows, value, verify_all
from tests.support.stores import query
from tests.support.tampering import allowed_to_turn


def verified(*, copied: bool = True) -> None:
    """Go to dual_write and verify there, so that the gates of the canary are met."""
    go(State.DUAL_WRITE)
    if copied:
        copy_all()
    verify_all()


def set_sample(percent: Any, name: str = CANARY) -> Decimal:
    """Set a sample by the engine; what it was before."""
    with audit.acting_as(TESTER):
        return canary.turn(ALIAS, name, canary.percentage(percent), SOON)


def force(percent: Any, name: str = CANARY) -> None:
    """Set a sample past its gates, as a test may."""
    with allowed_to_turn():
        rows("UPDATE waffle_sample SET percent = %s WHERE name = %s", percent, name)


def percent(name: str = CANARY) -> Decimal:
    """What a sample is now."""
    found: Decimal = value("SELECT percent FROM waffle_sample WHERE name = %s", name)
    return found


def bucket_of(key: object) -> int:
    """The bucket of a user, by Python."""
    return int.from_bytes(hashlib.sha256(str(key).encode()).digest()[:4], "big") % 1000


def chosen(keys: Iterable[int], percentage: float) -> list[int]:
    """Those whom a canary of so many percent serves from the tables."""
    return [key for key in keys if bucket_of(key) < round(10 * percentage)]


def explained(statement: str) -> str:
    """The plan of a statement of ours."""
    from django.db import connection

    return "\n".join(line for (line,) in query(f"EXPLAIN {placed(statement, connection)}"))

"""What tests do to a site past its triggers: turn switches, part the two stores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from prefs.sql import catalog
from prefs.sql.trigger_functions import TURNING
from prefs.sql.triggers import capture_triggers
from prefs.testing import turn

__all__ = [
    "allowed_to_turn",
    "behind_their_backs",
    "drop_column",
    "remove_switches",
    "tamper",
    "turn",
]


@contextmanager
def behind_their_backs() -> Iterator[None]:
    """A transaction in which no trigger fires and no foreign key cascades, as replication writes.

    It ends with the block, even inside a test's own transaction.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield
        cursor.execute("SET LOCAL session_replication_role = origin")


@contextmanager
def allowed_to_turn() -> Iterator[None]:
    """A transaction that may turn the switches, as that of a flip may; it ends with the block."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(catalog.allow_turning())
        yield
        cursor.execute(f"SELECT set_config('{TURNING}', '', true)")


def tamper(statement: str, *parameters: Any) -> None:
    """Run one statement past the triggers."""
    with behind_their_backs(), connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)


def remove_switches(*names: str) -> None:
    """Take away the rows of these switches."""
    tamper("DELETE FROM waffle_switch WHERE name = ANY(%s)", list(names))


def drop_column() -> None:
    """Drop the blob without a gate; our triggers go with it, as in a drop by the engine."""
    with connection.cursor() as cursor:
        for trigger in capture_triggers():
            cursor.execute(trigger.drop)
        cursor.execute("ALTER TABLE accounts_user DROP COLUMN IF EXISTS preferences")

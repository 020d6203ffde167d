"""The foreign keys of the typed tables during a copy of everybody.

Their checks are nearly half of what such a copy costs, and each locks and dirties a user's row.
Where nothing but the copy writes the typed tables (in `expanded`), they are put aside first
and put back at its end: added unvalidated, rid of the rows of users who went meanwhile, then
validated by one join. Until they are back the gate on the tables refuses dual-write.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

from django.db import connections

from prefs import ddl
from prefs.clock import Clock
from prefs.conf import Settings
from prefs.engine.flips import lock_transitions
from prefs.engine.states import State, current_state
from prefs.mapping import NOTIFICATION_TABLE, USER_TABLE
from prefs.sql import keys as sql

# Fewer users are copied before the locks have paid.
WORTH_IT = 50_000
_TABLES = (USER_TABLE, NOTIFICATION_TABLE)
# No live statement waits for longer than this behind a try.
_ONE_TRY = timedelta(milliseconds=40)
_PATIENCE = timedelta(seconds=5)


def missing(alias: str) -> list[str]:
    """The typed tables whose key is not there, or not valid."""
    with connections[alias].cursor() as cursor:
        cursor.execute(sql.valid_keys())
        valid = {table for table, validated in cursor.fetchall() if validated}
    return [table for table in _TABLES if table not in valid]


def put_aside(alias: str, settings: Settings, clock: Clock) -> None:
    """Drop the keys, unless the site is no longer in `expanded`. Raises LockNotObtained soon.

    Takes ACCESS EXCLUSIVE on users and the typed tables for a moment, in short tries, and the
    advisory lock of transitions: a flip waits, and then finds its gate unmet.
    """
    connection = connections[alias]

    def work() -> None:
        lock_transitions(alias)
        if current_state(alias) is State.EXPANDED:
            with connection.cursor() as cursor:
                for table in _TABLES:
                    cursor.execute(sql.drop_key(table))

    gentle = replace(settings, ddl_lock_timeout=_ONE_TRY, lock_patience=_PATIENCE)
    ddl.locked(connection, "put the foreign keys aside", work, settings=gentle, clock=clock)


def put_back(alias: str, settings: Settings, clock: Clock) -> None:
    """Add the keys that are missing, delete rows without a user, and validate. May be repeated.

    Takes SHARE ROW EXCLUSIVE on users and a typed table for a moment, in short tries, and no
    lock that a writer waits for while it validates. Raises LockNotObtained.
    """
    connection = connections[alias]
    gentle = replace(settings, ddl_lock_timeout=_ONE_TRY)

    def step(table: str, *statements: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql.one_at_a_time())
            if table in missing(alias):
                for statement in statements:
                    cursor.execute(statement)

    for table in missing(alias):
        for statements in (
            (sql.add_key(table),),
            (sql.delete_orphans(table), sql.validate_key(table)),
        ):
            work = partial(step, table, *statements)
            ddl.locked(connection, "put the foreign keys back", work, settings=gentle, clock=clock)

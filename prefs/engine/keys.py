"""The foreign keys of the typed tables during a copy of everybody.

Their checks are nearly half of what such a copy costs, and each locks and dirties a user's row.
Where nothing but the copy writes the typed tables (in `expanded`), they are put aside first
and put back at its end: added unvalidated, then validated by one join. Where that finds rows of
users who went meanwhile, they are deleted, and it is done again. Until the keys are back the gate
on the tables refuses dual-write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

from django.db import IntegrityError, connections, transaction

from prefs import ddl
from prefs.clock import Clock
from prefs.conf import Settings
from prefs.engine import catalogs
from prefs.engine.flips import lock_transitions
from prefs.engine.sight import must_see_everybody, seeing_everybody
from prefs.engine.states import State, current_state
from prefs.mapping import NOTIFICATION_TABLE, USER_TABLE
from prefs.sql import keys as sql
from prefs.sql.names import ARCHIVE_TABLE

# Fewer users are copied before the locks have paid.
WORTH_IT = 50_000
_TABLES = (USER_TABLE, NOTIFICATION_TABLE)
# The archive keeps its own throughout.
ALL = (*_TABLES, ARCHIVE_TABLE)
# No live statement waits for longer than this behind a try.
_ONE_TRY = timedelta(milliseconds=40)
# Beyond deadlock_timeout, after which an autovacuum of a typed table makes way for us.
_FOR_AUTOVACUUM = timedelta(seconds=2)
_PATIENCE = timedelta(seconds=5)


def missing(alias: str, tables: Sequence[str] = _TABLES) -> list[str]:
    """Those of the tables whose key is not there, or not valid."""
    return [table for table in tables if not catalogs.rows(alias, sql.valid_key(table))]


def go_aside(alias: str, rows: float) -> bool:
    """Whether a copy of so many users is worth it, and nothing else writes the typed tables."""
    return rows >= WORTH_IT and current_state(alias) is State.EXPANDED


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


def put_back(alias: str, settings: Settings, clock: Clock, tables: Sequence[str] = _TABLES) -> None:
    """Add those keys of `tables` that are missing, and validate. May be repeated.

    Rows without a user go. Takes ACCESS EXCLUSIVE on a typed table and SHARE ROW EXCLUSIVE on
    users for a moment, on users in short tries, and no lock that a writer waits for while it
    validates. Raises LockNotObtained and UsersHidden.
    """
    must_see_everybody(alias)
    for table in missing(alias, tables):
        for step in (_add, _validate):
            ddl.locked(
                connections[alias],
                "put the foreign keys back",
                partial(step, table, alias),
                settings=replace(settings, ddl_lock_timeout=_FOR_AUTOVACUUM),
                clock=clock,
            )


def _add(table: str, alias: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute(sql.one_at_a_time())
        if not missing(alias, [table]):
            return
        # Only in `expanded` does nobody else use it, and may we wait for it.
        if current_state(alias) is State.EXPANDED:
            cursor.execute(sql.lock_table(table))
        cursor.execute(sql.wait_no_longer(_ONE_TRY))
        cursor.execute(sql.add_key(table))


def _validate(table: str, alias: str) -> None:
    """Prove the key, without the rows of users who are gone.

    Of rows that row security hides PostgreSQL would say that they keep it, and a user who is
    hidden must not be taken for one who is gone: both are errors here.
    """
    with seeing_everybody(alias) as cursor:
        cursor.execute(sql.one_at_a_time())
        if missing(alias, [table]):
            try:
                with transaction.atomic(using=alias):
                    cursor.execute(sql.validate_key(table))
            except IntegrityError:
                cursor.execute(sql.delete_orphans(table))
                cursor.execute(sql.validate_key(table))

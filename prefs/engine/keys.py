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
from prefs.conf import Settings
from prefs.engine import catalogs
from prefs.engine.batches import Control
from prefs.engine.flips import lock_transitions
from prefs.engine.sight import must_see_everybody, seeing_everybody
from prefs.engine.states import State, current_state
from prefs.mapping import NOTIFICATION_TABLE, USER_TABLE
from prefs.sql import keys as sql
from prefs.sql.asking import execute, one
from prefs.sql.installed import foreign_key_name
from prefs.sql.names import ARCHIVE_TABLE, MISMATCH_TABLE, names, qualified

# Fewer users are copied before the locks have paid.
WORTH_IT = 50_000
_TABLES = (USER_TABLE, NOTIFICATION_TABLE)
# The archive and the mismatches keep theirs throughout.
ALL = (*_TABLES, ARCHIVE_TABLE, MISMATCH_TABLE)
# Beyond deadlock_timeout, after which an autovacuum of a typed table makes way for us.
_FOR_AUTOVACUUM = timedelta(seconds=2)
# To put them aside is worth no more: the copy can do without.
_PATIENCE = timedelta(seconds=5)
_LOOK_AGAIN = 0.2


def missing(alias: str, tables: Sequence[str] = _TABLES) -> list[str]:
    """Those of the tables whose key is not there, or not valid."""
    return [table for (table,) in catalogs.rows(alias, sql.missing(tables))]


def go_aside(alias: str, rows: float) -> bool:
    """Whether a copy of so many users is worth it, and nothing else writes the typed tables."""
    return rows >= WORTH_IT and current_state(alias) is State.EXPANDED


def put_aside(alias: str, settings: Settings, control: Control) -> None:
    """Drop the keys, unless the site is no longer in `expanded`. Raises LockNotObtained soon.

    Takes ACCESS EXCLUSIVE on users and the typed tables for a moment, in short tries, and the
    advisory lock of transitions: a flip waits, and then finds its gate unmet.
    """

    def work() -> None:
        lock_transitions(alias)
        if current_state(alias) is State.EXPANDED:
            for table in _TABLES:
                execute(connections[alias], sql.drop_key(table))

    gentle = replace(control.tries(settings), longest=ddl.FIRST_TRY, patience=_PATIENCE)
    wanted = ddl.Wanted(tables=(names().users, *map(qualified, _TABLES)))
    ddl.locked(connections[alias], "put the foreign keys aside", work, gentle, wanted=wanted)


class _AnotherIsAtIt(Exception):
    """Another worker, of this process or another, holds the advisory lock of this."""


def put_back(
    alias: str, settings: Settings, control: Control, tables: Sequence[str] = _TABLES
) -> bool:
    """Add those keys of `tables` that are missing, and validate. May be repeated.

    Rows without a user go. False where `control.stopped` ended it. Takes ACCESS EXCLUSIVE on a
    typed table and SHARE ROW EXCLUSIVE on users for a moment, on users in tries of at most
    `settings.ddl_lock_timeout`, and no lock that a writer waits for while it validates. Raises
    LockNotObtained and UsersHidden.
    """
    must_see_everybody(alias)
    while not control.stopped():
        try:
            for table in missing(alias, tables):
                _add(table, alias, control.tries(settings))
                _validate(table, alias, control.tries(settings))
        except _AnotherIsAtIt:
            control.clock.sleep(_LOOK_AGAIN)
        except ddl.TriesStopped:
            return False
        else:
            return True
    return False


def _add(table: str, alias: str, tries: ddl.Tries) -> None:
    def first() -> None:
        _alone(alias)
        # Only in `expanded` does nobody else use it, and may we wait for it.
        if current_state(alias) is State.EXPANDED:
            execute(connections[alias], ddl.timeout_statement(_FOR_AUTOVACUUM))
            execute(connections[alias], sql.lock_table(table))

    def work() -> None:
        if missing(alias, [table]):
            execute(connections[alias], sql.add_key(table))

    wanted = ddl.Wanted(tables=(names().users, qualified(table)), against_readers=False)
    what = f"add the foreign key {foreign_key_name(table)}"
    ddl.locked(connections[alias], what, work, tries, wanted=wanted, first=first)


def _validate(table: str, alias: str, tries: ddl.Tries) -> None:
    """Prove the key, without the rows of users who are gone.

    Of rows that row security hides PostgreSQL would say that they keep it, and a user who is
    hidden must not be taken for one who is gone: both are errors here.
    """

    def work() -> None:
        with seeing_everybody(alias) as cursor:
            if not missing(alias, [table]):
                return
            try:
                with transaction.atomic(using=alias):
                    cursor.execute(sql.validate_key(table))
            except IntegrityError:
                cursor.execute(sql.delete_orphans(table))
                cursor.execute(sql.validate_key(table))

    # Nobody who reads or writes waits behind it.
    longer = replace(tries, longest=max(tries.longest, _FOR_AUTOVACUUM))
    wanted = ddl.Wanted(tables=(qualified(table),), against_readers=False)
    what = f"validate the foreign key {foreign_key_name(table)}"
    first = partial(_alone, alias)
    ddl.locked(connections[alias], what, work, longer, wanted=wanted, first=first)


def _alone(alias: str) -> None:
    """Hold the advisory lock of those who put keys back. Raises _AnotherIsAtIt."""
    if one(connections[alias], sql.one_at_a_time()) != (True,):
        raise _AnotherIsAtIt

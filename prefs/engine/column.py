"""The end of the blob and its return: drop the column, restore it.

The drop keeps how the column was made in the record of the transition, and restore makes
it again from there. DDL waits for its table lock in short tries.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import connections

from prefs import ddl
from prefs.conf import Settings
from prefs.engine import catalogs
from prefs.engine.batches import Control
from prefs.engine.flips import begin, forget_cached_switches, record, turn
from prefs.engine.states import Action, Edge, State, last_transition
from prefs.errors import PrefsError
from prefs.models import Transition
from prefs.sql import catalog, rights
from prefs.sql.asking import execute, one
from prefs.sql.names import literal, names
from prefs.sql.rights import PUBLIC
from prefs.sql.triggers import capture_triggers

_DEFINITION = ("type", "default", "not_null", "comment", "indexes", "privileges")


def drop(
    edge: Edge,
    alias: str,
    settings: Settings,
    control: Control,
    *,
    vouch: Callable[[], dict[str, Any]] = dict,
) -> Transition:
    """Drop the column under the gates of `edge`, asked in the transaction that drops.

    `vouch` is called in there too: it raises what forbids the drop, or returns figures for
    its record. Takes ACCESS EXCLUSIVE on the users table for a moment.
    """
    connection = connections[alias]

    def work() -> Transition:
        if edge.action is Action.CONTRACT_EMPTY:
            # Nobody can write, or become a user, between the gate and the drop.
            execute(connection, f"LOCK TABLE {names().users} IN ACCESS EXCLUSIVE MODE")
        findings = begin(edge, alias, settings)
        figures = vouch()
        if edge.action is Action.CONTRACT_EMPTY:
            turn(alias, edge.target)
        found = one(connection, catalog.column_definition())
        definition = dict(zip(_DEFINITION, found, strict=True))
        for trigger in capture_triggers():
            execute(connection, trigger.drop)
        execute(connection, f"ALTER TABLE {names().users} DROP COLUMN {names().blob} RESTRICT")
        return record(edge, alias, findings, column=definition, **figures)

    taken = ddl.locked(connection, "drop the column", work, control.tries(settings))
    forget_cached_switches()
    return taken


def add(edge: Edge, alias: str, settings: Settings, control: Control) -> Transition:
    """Add the column again with its default; the transition stays open until it is filled.

    Those who are there hold an empty object until then, whatever the default: of NULL an
    expression of SQL's makes NULL again, which is no change, and so a write that is neither
    captured nor refused. A change of the catalogue alone: no row is written. Takes ACCESS
    EXCLUSIVE on the users table for a moment.
    """
    n, connection = names(), connections[alias]

    def work() -> Transition:
        findings = begin(edge, alias, settings)
        dropped = last_transition(alias, to_state=str(State.DROPPED))
        if dropped is None:
            raise PrefsError(
                "No transition to dropped is on record, so it is unknown how the column was made."
                " Add it by hand (a jsonb column `preferences` with the default of your site),"
                " then run `manage.py rollback_prefs --to read_cutover`."
            )
        made = dropped.figures["column"]
        column = f"{n.blob} {made['type']} DEFAULT '{{}}'"
        execute(connection, f"ALTER TABLE {n.users} ADD COLUMN {column}")
        # Apart, for a volatile one would write every user anew under the lock. Nobody is
        # inserted before both are there, and those who are there wait for the fill.
        default = f"SET DEFAULT {made['default']}" if made["default"] else "DROP DEFAULT"
        execute(connection, f"ALTER TABLE {n.users} ALTER COLUMN {n.blob} {default}")
        if made["comment"]:
            # DDL takes no parameters, which server-side binding would send apart.
            comment = literal(made["comment"])
            execute(connection, f"COMMENT ON COLUMN {n.users}.{n.blob} IS {comment}")
        for role, privilege, grantable in made.get("privileges", []):
            if role == PUBLIC or catalogs.rows(alias, rights.role(), role=role):
                execute(connection, rights.grant_on_column(role, privilege, grantable == "true"))
        for trigger in capture_triggers():
            execute(connection, trigger.create)
        return record(edge, alias, findings, column=made)

    return ddl.locked(connection, "add the column", work, control.tries(settings))


def finish(taken: Transition, alias: str, settings: Settings, control: Control) -> None:
    """Once the column is filled: its indexes and its NOT NULL, as they were.

    Indexes are built CONCURRENTLY, and an invalid one left by a crash is built again. NOT
    NULL is proven by a constraint first, so that no long lock is needed. May be repeated.
    """
    made = taken.figures["column"]
    for definition in made["indexes"]:
        _build_index(alias, definition)
    if made["not_null"]:
        _set_not_null(alias, settings, control)


def _build_index(alias: str, definition: str) -> None:
    concurrently = definition.replace(" INDEX ", " INDEX CONCURRENTLY ", 1)
    name = concurrently.split(" INDEX CONCURRENTLY ", 1)[1].split(" ON ", 1)[0]
    connection = connections[alias]
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
    row = one(connection, valid, [name])
    if row == (True,):
        return
    if row is not None:
        execute(connection, f"DROP INDEX CONCURRENTLY {name}")
    execute(connection, concurrently)


def _set_not_null(alias: str, settings: Settings, control: Control) -> None:
    users, blob, connection = names().users, names().blob, connections[alias]
    proof = "prefs_blob_not_null"
    for change in (
        f"DROP CONSTRAINT IF EXISTS {proof}",
        f"ADD CONSTRAINT {proof} CHECK ({blob} IS NOT NULL) NOT VALID",
        f"VALIDATE CONSTRAINT {proof}",
        f"ALTER COLUMN {blob} SET NOT NULL",
        f"DROP CONSTRAINT {proof}",
    ):
        statement = f"ALTER TABLE {users} {change}"
        work = partial(execute, connection, statement)
        ddl.locked(connection, f"run `{statement}`", work, control.tries(settings))

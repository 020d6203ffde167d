"""One look at what expand installed, and at how the site is set up, as the catalogs print it.

Gates, checks and `install_prefs` judge one look together: each of them would else ask for the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prefs.engine import catalogs
from prefs.sql import catalog, installed, registry, row_security
from prefs.sql.names import qualified
from prefs.sql.rights import TYPED_TABLES
from prefs.sql.triggers import capture_triggers, guard_triggers

ISOLATION, FIRING = "default_transaction_isolation", "session_replication_role"
DURABLE = ("fsync", "synchronous_commit")


@dataclass(frozen=True, kw_only=True)
class Secured:
    """A table's row security, and its policies by name."""

    on: bool
    forced: bool
    policies: Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one database has, by the rows of the statements in `prefs.sql`."""

    alias: str
    has_column: bool
    objects: Mapping[str, Mapping[str, str]]
    """By typed table, then by name: the definition."""

    triggers: Sequence[tuple[str, str, str, bool]]
    functions: Mapping[str, Sequence[Any]]
    """By signature: (body or NULL, traits, whether anybody may call it)."""

    strangers: Sequence[tuple[str, str]]
    """(name, signature) of functions beside ours."""

    secured: Mapping[str, Secured]
    settings: Sequence[tuple[str, str, str]]

    def set_to(self, *names: str) -> list[tuple[str, str, str]]:
        """Stored values of these settings: (where it is set, name, value)."""
        return [row for row in self.settings if row[1] in names]

    def placed(self, text: str) -> str:
        """A statement, or a name, of ours with the schemas of this database in it."""
        return catalogs.placed_in(self.alias, text)


def look(alias: str) -> Look:
    """The catalogs of a database as they are now, whatever the session has set. Locks nothing."""
    names = [FIRING, ISOLATION, *DURABLE]
    settings = catalogs.rows(alias, catalog.stored_settings(), names=names)
    [(_, _, has_column)] = catalogs.rows(alias, catalog.state())
    made = (*registry.called(), *registry.fired())
    ours = {catalogs.placed_in(alias, function.signature): function.name for function in made}
    named = {"names": list(ours.values()), "signatures": list(ours)}
    typed = [catalogs.placed_in(alias, qualified(table)) for table in TYPED_TABLES]
    guarded = {trigger.table for trigger in (*capture_triggers(), *guard_triggers())}
    with_triggers = sorted(catalogs.placed_in(alias, table) for table in guarded)
    with catalogs.plainly(alias) as rows:
        objects = rows(installed.actual_objects(), tables=typed)
        triggers = rows(installed.installed_triggers(), tables=with_triggers)
        functions = rows(installed.functions(), **named)
        secured = rows(row_security.row_security())
    return Look(
        alias=alias,
        has_column=has_column,
        objects=_by_table(dict(zip(typed, TYPED_TABLES, strict=True)), objects),
        triggers=triggers,
        functions={signature: row for _, signature, *row in functions if signature in ours},
        strangers=[row[:2] for row in functions if row[1] not in ours],
        secured=_secured(secured),
        settings=settings,
    )


def _by_table(
    tables: Mapping[str, str], rows: Sequence[tuple[str, str, str]]
) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {table: {} for table in tables.values()}
    for relation, name, definition in rows:
        found[tables[relation]][name] = definition
    return found


def _secured(rows: Sequence[tuple[Any, ...]]) -> dict[str, Secured]:
    policies: dict[str, dict[str, tuple[Any, ...]]] = defaultdict(dict)
    for table, _, _, name, *policy in rows:
        if name is not None:
            policies[table][name] = tuple(policy)
    return {
        table: Secured(on=on, forced=forced, policies=policies[table])
        for table, on, forced, *_ in rows
    }

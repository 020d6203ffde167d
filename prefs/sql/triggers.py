"""The triggers that expand installs: they hold the protocol for writers that are not ours.

`prefs_capture` mirrors what others write to the blob, `prefs_guard_rows` refuses what others
write to the typed tables while those are mirrored, `prefs_guard_switch` refuses whoever turns
a switch past the gates, `prefs_append_only` keeps the audit as it was written. The archive
never changes: `prefs_guard_archive` refuses to, but that a row goes with its user, and then
`prefs_departure` keeps its digest. What each does is in `trigger_functions`.
"""

from __future__ import annotations

from dataclasses import dataclass

from prefs.mapping import NOTIFICATION_TABLE, USER_TABLE
from prefs.sql.expressions import same
from prefs.sql.names import ARCHIVE_TABLE, AUDIT_TABLE, names, qualified, quote
from prefs.sql.trigger_functions import (
    APPEND_ONLY,
    CAPTURE,
    DEPARTURE,
    GUARD_ARCHIVE,
    GUARD_ROWS,
    GUARD_SWITCH,
)
from prefs.sql.writes import is_not_marked


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """One trigger: where it stands, when it fires, and what it calls."""

    name: str
    table: str
    when: str
    function: str

    @property
    def table_name(self) -> str:
        """The table without its schema, as a problem names it."""
        return self.table.split(".")[-1].strip('"')

    @property
    def create(self) -> str:
        """The statement that makes it, or makes it anew and enabled."""
        return (
            f"CREATE OR REPLACE TRIGGER {quote(self.name)} {self._text(self.table)}"
            f" EXECUTE FUNCTION {qualified(self.function)}()"
        )

    @property
    def drop(self) -> str:
        return f"DROP TRIGGER IF EXISTS {quote(self.name)} ON {self.table}"

    def _text(self, table: str) -> str:
        return self.when.format(table=table)


def capture_triggers() -> tuple[Trigger, ...]:
    """Those on the users table: they go with the column, and come back with it."""
    n = names()
    old, new = (f"{row}.{n.key}, {row}.{n.blob}" for row in ("old", "new"))
    changed = f"NOT {same(old, new)}"
    return (
        Trigger(
            name="prefs_capture_insert",
            table=n.users,
            when="AFTER INSERT ON {table} FOR EACH ROW",
            function=CAPTURE,
        ),
        Trigger(
            name="prefs_capture_update",
            table=n.users,
            when=f"AFTER UPDATE ON {{table}} FOR EACH ROW WHEN ({changed})",
            function=CAPTURE,
        ),
    )


def guard_triggers() -> tuple[Trigger, ...]:
    """Those on the typed tables, waffle's table, the audit and the archive.

    On the typed tables a statement of ours calls no function: every merge would pay for two.
    """
    n = names()
    found = []
    for table in (USER_TABLE, NOTIFICATION_TABLE):
        for name, events in (
            ("added", "INSERT OR TRUNCATE ON {table} FOR EACH STATEMENT"),
            ("changed", "DELETE OR UPDATE ON {table} FOR EACH ROW"),
        ):
            found.append(
                Trigger(
                    name=f"prefs_guard_{name}",
                    table=qualified(table),
                    when=f"AFTER {events} WHEN ({is_not_marked()})",
                    function=GUARD_ROWS,
                )
            )
    for table, guard in ((n.switches, GUARD_SWITCH), (qualified(AUDIT_TABLE), APPEND_ONLY)):
        events = "INSERT OR DELETE OR UPDATE" if guard == GUARD_SWITCH else "DELETE OR UPDATE"
        found += [
            Trigger(
                name=guard,
                table=table,
                when=f"BEFORE {events} ON {{table}} FOR EACH ROW",
                function=guard,
            ),
            Trigger(
                name="prefs_no_truncate",
                table=table,
                when="BEFORE TRUNCATE ON {table} FOR EACH STATEMENT",
                function=guard,
            ),
        ]
    return (*found, *_archive_triggers())


def _archive_triggers() -> tuple[Trigger, ...]:
    return (
        Trigger(
            name=GUARD_ARCHIVE,
            table=qualified(ARCHIVE_TABLE),
            when="BEFORE DELETE OR UPDATE ON {table} FOR EACH ROW",
            function=GUARD_ARCHIVE,
        ),
        Trigger(
            name=DEPARTURE,
            table=qualified(ARCHIVE_TABLE),
            when="AFTER DELETE ON {table} FOR EACH ROW",
            function=DEPARTURE,
        ),
    )

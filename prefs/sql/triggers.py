"""The triggers that expand installs: they hold the protocol for writers that are not ours.

`prefs_capture` mirrors what others write to the blob, `prefs_guard_rows` refuses what others
write to the typed tables while those are mirrored, `prefs_guard_switch` and `prefs_guard_sample`
refuse whoever turns a switch or raises a sample past the gates, `prefs_append_only` keeps the audit
as it was written. The archive never changes: `prefs_guard_archive` refuses to, but that a row goes
with its user, and then `prefs_departure` keeps its digest. What each does is in
`trigger_functions`.
"""

from __future__ import annotations

from dataclasses import dataclass

from prefs.sql.expressions import same
from prefs.sql.names import ARCHIVE_TABLE, AUDIT_TABLE, MISMATCH_TABLE, names, qualified, quote
from prefs.sql.shadow import FOUND
from prefs.sql.trigger_functions import (
    APPEND_ONLY,
    CAPTURE,
    DEPARTURE,
    GUARD_ARCHIVE,
    GUARD_ROWS,
    GUARD_SAMPLE,
    GUARD_SWITCH,
)
from prefs.sql.writes import is_not_marked


@dataclass(frozen=True)
class Trigger:
    """One trigger: its name, the table on which it stands, when it fires, and what it calls."""

    name: str
    table: str
    events: str
    """Before or after what."""
    each: str
    """For each row or statement, and in which case."""
    function: str

    @property
    def table_name(self) -> str:
        """The table without its schema, as a problem names it."""
        return self.table.split(".")[-1].strip('"')

    @property
    def create(self) -> str:
        """The statement that makes it, or makes it anew and enabled."""
        return (
            f"CREATE OR REPLACE TRIGGER {quote(self.name)} {self.events} ON {self.table}"
            f" FOR EACH {self.each} EXECUTE FUNCTION {qualified(self.function)}()"
        )

    @property
    def drop(self) -> str:
        return f"DROP TRIGGER IF EXISTS {quote(self.name)} ON {self.table}"


def capture_triggers() -> tuple[Trigger, ...]:
    """Those on the users table: they go with the column, and come back with it."""
    n = names()
    old, new = (f"{row}.{n.key}, {row}.{n.blob}" for row in ("old", "new"))
    changed = f"ROW WHEN (NOT {same(old, new)})"
    return (
        Trigger("prefs_capture_insert", n.users, "AFTER INSERT", "ROW", CAPTURE),
        Trigger("prefs_capture_update", n.users, "AFTER UPDATE", changed, CAPTURE),
    )


def guard_triggers() -> tuple[Trigger, ...]:
    """Those on the typed tables, waffle's table, the audit and the archive.

    On the typed tables a statement of ours calls no function: every merge would pay for two.
    """
    found, others = [], f"WHEN ({is_not_marked()})"
    added, changed = "AFTER INSERT OR TRUNCATE", "AFTER DELETE OR UPDATE"
    for table in (names().user_table, names().notification_table):
        found += [
            Trigger("prefs_guard_added", table, added, f"STATEMENT {others}", GUARD_ROWS),
            Trigger("prefs_guard_changed", table, changed, f"ROW {others}", GUARD_ROWS),
        ]
    for table, guard, rows in (
        (names().switches, GUARD_SWITCH, "BEFORE INSERT OR DELETE OR UPDATE"),
        (names().samples, GUARD_SAMPLE, "BEFORE INSERT OR DELETE OR UPDATE"),
        (qualified(AUDIT_TABLE), APPEND_ONLY, "BEFORE DELETE OR UPDATE"),
    ):
        found += [
            Trigger(guard, table, rows, "ROW", guard),
            Trigger("prefs_no_truncate", table, "BEFORE TRUNCATE", "STATEMENT", guard),
        ]
    archive, noted = qualified(ARCHIVE_TABLE), "AFTER INSERT OR UPDATE OF found_at"
    return (
        *found,
        Trigger(FOUND, qualified(MISMATCH_TABLE), noted, "ROW", FOUND),
        Trigger(GUARD_ARCHIVE, archive, "BEFORE DELETE OR UPDATE", "ROW", GUARD_ARCHIVE),
        Trigger(DEPARTURE, archive, "AFTER DELETE", "ROW", DEPARTURE),
    )

"""The two switches and the four routes they give; the two samples beside them.

The route is read in the database, inside the transaction that acts on it, and never
remembered past that transaction. waffle's cached `switch_is_active` is not used: a cached
answer can be older than any time to live.
"""

from __future__ import annotations

import enum

from prefs.errors import PrefsError

DUAL_WRITE = "prefs_dual_write"
READ_TABLES = "prefs_read_tables"
SWITCHES = (DUAL_WRITE, READ_TABLES)

# Percentages: of users who read the tables in `BLOB_MIRRORED` already, of reads that also compare.
CANARY = "prefs_canary_reads"
SHADOW = "prefs_shadow_reads"
SAMPLES = (CANARY, SHADOW)


class MissingSwitch(PrefsError):
    """A switch row is gone, so no route is known: nothing is read or written."""

    def __init__(self, *names: str) -> None:
        missing = " and ".join(names)
        super().__init__(
            f"The row of the waffle switch {missing} is missing, so the route of preferences"
            " is unknown and nothing was read or written. Run `manage.py status_prefs`: it"
            " prints the command that puts the row back with the value it had."
        )


class Route(enum.Enum):
    """Which store is read (the primary), and whether the other is written too (the mirror)."""

    BLOB = (False, False)
    BLOB_MIRRORED = (True, False)
    TABLES_MIRRORED = (True, True)
    TABLES = (False, True)

    @classmethod
    def of(cls, dual_write: bool | None, read_tables: bool | None) -> Route:
        """The route of two switch rows; MissingSwitch where one is None."""
        if dual_write is None or read_tables is None:
            pairs = zip(SWITCHES, (dual_write, read_tables), strict=True)
            raise MissingSwitch(*(name for name, value in pairs if value is None))
        return cls((dual_write, read_tables))

    @property
    def mirrored(self) -> bool:
        return self.value[0]

    @property
    def reads_tables(self) -> bool:
        return self.value[1]

    @property
    def writes_blob(self) -> bool:
        return self.mirrored or not self.reads_tables

    @property
    def writes_tables(self) -> bool:
        return self.mirrored or self.reads_tables

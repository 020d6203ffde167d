"""What a site would do by hand, at its best: the same tables, constraints and indexes.

Rendered from the mapping, as its columns would be typed by hand. Nothing is validated, and what
fits no column (an unknown key, an explicit null) is dropped: these lose what ours keeps.
"""

from __future__ import annotations

from benchmarks.databases import Databases
from prefs.domains import ClockTime, Flag, WholeNumber
from prefs.mapping import NOTIFICATION_TABLE, USER_TABLE, Leaf
from prefs.sql.names import literal, names, quote

TYPED = (USER_TABLE, NOTIFICATION_TABLE)


def without_our_triggers(databases: Databases, database: str) -> None:
    """Disable the triggers that this package installed; foreign keys stay."""
    tables = (names().users, *map(quote, TYPED))
    databases.execute(database, *(f"ALTER TABLE {t} DISABLE TRIGGER USER" for t in tables))


def cast(leaf: Leaf, blob: str) -> str:
    """The leaf as a plain cast of the blob has it."""
    path = "".join(f" -> {literal(name)}" for name in leaf.path[:-1])
    text = f"({blob}{path} ->> {literal(leaf.name)})"
    match leaf.domain:
        case Flag():
            return f"{text}::boolean"
        case WholeNumber():
            return f"{text}::integer"
        case ClockTime():
            return f"{text}::time"
        case _:
            return text

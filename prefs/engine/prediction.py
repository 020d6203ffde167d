"""How much disk and WAL a backfill will take, foretold before it, and compared after it.

The sizes of heap tuples, index entries and WAL records are PostgreSQL's own
(`htup_details.h`, `itup.h`, `heapam_xlog.h`); the rows come from a sample of pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connections

from prefs.engine import keys
from prefs.engine.repair import Direction, count_users
from prefs.engine.sight import rows_of_everybody
from prefs.models import Run
from prefs.sql import prediction as sql
from prefs.sql.asking import one
from prefs.sql.installed import FILL_FACTOR

_SAMPLED = 2_000
_PAGE = 8192
_LINE_POINTER = 4
# An entry of a B-tree on one key of 8 bytes, with its line pointer, in leaves nine tenths full.
_INDEX_ENTRY = (16 + _LINE_POINTER) / 0.9
# WAL records about a tuple, beside its data: header, block reference, and the heap's own part.
_HEAP_RECORD = 24 + 20 + 8
_INDEX_RECORD = 24 + 20 + 2 + 16
_LOCK_RECORD = 54


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a backfill will add: bytes of tables with their indexes, and bytes of WAL.

    The WAL has an image of every page of users that is touched first after a checkpoint: one
    each is counted.
    """

    rows: int
    table_bytes: int
    wal_bytes: int

    def __str__(self) -> str:
        tables, wal = megabytes(self.table_bytes), megabytes(self.wal_bytes)
        return f"writes about {self.rows:,} users: {tables} of tables and indexes, {wal} of WAL"


def predict(alias: str, direction: Direction) -> Prediction:
    """Foretell a backfill of that direction from a sample. Reads some pages; locks nothing.

    Where it copies without the foreign keys, no row of users is locked, and none written.
    """
    users = count_users(alias)
    percent = min(100.0, 100.0 * _SAMPLED / max(1, users) + 0.01)
    [sample] = rows_of_everybody(alias, sql.sample(), percent=percent)
    seen, missing, differing, user_row, notification_row, topics, users_row = sample
    _, _, users_heap, users_indexes, _ = one(connections[alias], sql.measured())
    if not seen:
        return Prediction(rows=0, table_bytes=0, wal_bytes=0)
    if direction is Direction.FORWARD:
        rows = users * missing / seen
        entries = 2 + topics
        heap = (_tuple(user_row) + _tuple(notification_row)) * 100 / FILL_FACTOR
        tuples = 2
        wal = user_row + notification_row
        if keys.go_aside(alias, rows):
            users_heap = 0
        else:
            wal += _LOCK_RECORD
    else:
        rows = users * differing / seen
        entries, heap, tuples, wal = users_indexes, _tuple(users_row), 1, users_row
    table_bytes = rows * (heap + entries * _INDEX_ENTRY)
    wal_bytes = rows * (wal + tuples * _HEAP_RECORD + entries * _INDEX_RECORD)
    images = users_heap * min(1.0, rows / max(1, users))
    return Prediction(
        rows=round(rows), table_bytes=round(table_bytes), wal_bytes=round(wal_bytes + images)
    )


def _tuple(size: float) -> float:
    """What a tuple takes in its page, aligned to 8 bytes."""
    return (size + 7) // 8 * 8 + _LINE_POINTER


def remember(run: Run, alias: str, foretold: Prediction) -> None:
    """Note on a run that begins what was foretold, and where tables and WAL are."""
    if not run.figures:
        run.figures = {**vars(foretold), "began": _measured(alias)}
        run.save(using=alias, update_fields=["figures"])


def outcome(run: Run, alias: str) -> dict[str, Any]:
    """What a run took beside what was foretold; the WAL is that of all sessions meanwhile."""
    if "began" not in run.figures:
        return {}
    began, now = run.figures["began"], _measured(alias)
    return {
        "table_bytes": now["tables"] - began["tables"],
        "wal_bytes": now["wal"] - began["wal"],
        "predicted_table_bytes": run.figures["table_bytes"],
        "predicted_wal_bytes": run.figures["wal_bytes"],
    }


def _measured(alias: str) -> dict[str, int]:
    typed, users, _, _, wal = one(connections[alias], sql.measured())
    return {"tables": int(typed) + int(users), "wal": int(wal)}


def megabytes(size: float) -> str:
    """Bytes as people read them."""
    return f"{size / 1e6:,.1f} MB"

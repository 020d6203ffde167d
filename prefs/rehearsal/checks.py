"""What a rehearsal checks at its end: by the clients' records, and by a copy of the blobs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connections

from prefs.models import UserPreferences
from prefs.rehearsal.record import Record
from prefs.rehearsal.scratch import ALIAS
from prefs.sql import catalog
from prefs.sql.asking import execute, one
from prefs.sql.expressions import same
from prefs.sql.names import names

_COPY = "prefs_rehearsal_before"
_PAGE = 500


def remember() -> int:
    """Copy every blob aside, as it is before the migration begins; how many there are."""
    n = names()
    execute(connections[ALIAS], f"DROP TABLE IF EXISTS {_COPY}")
    blobs = f"SELECT {n.key} AS key, {n.blob} AS blob FROM {n.users}"
    return execute(connections[ALIAS], f"CREATE UNLOGGED TABLE {_COPY} AS {blobs}")


def column_definition() -> tuple[Any, ...]:
    """How the column is made: type, default, NOT NULL, comment, indexes."""
    row: tuple[Any, ...] = one(connections[ALIAS], catalog.column_definition())
    return row


def blobs_changed(written: list[str]) -> int:
    """How many blobs of users nobody wrote to differ from the copy, byte for byte."""
    n = names()
    changed = f"""SELECT count(*) FROM {_COPY} c FULL JOIN {n.users} u ON u.{n.key} = c.key
      WHERE (c.key IS NULL OR u.{n.key} IS NULL OR NOT {same("c.blob", f"u.{n.blob}")})
      AND NOT coalesce(u.{n.key}, c.key) = ANY(%s::{n.key_type}[])"""
    return int(one(connections[ALIAS], changed, [written])[0])


def lost_writes(records: Iterable[Record]) -> list[str]:
    """Every acknowledged write that is not there, and every read that was older than one."""
    lost: list[str] = []
    for record in records:
        lost += record.stale
        # What is read now is compared with the record as a read of the client would be.
        final = Record(client=record.client, documents=record.documents, counters=record.counters)
        for user, document in _documents(record.documents):
            final.saw_document(user, document)
        for user, document in _documents(record.counters):
            final.saw_counter(user, document)
        lost += final.stale
    return lost


def _documents(users: Iterable[str]) -> Iterable[tuple[str, Any]]:
    ids = list(users)
    for begin in range(0, len(ids), _PAGE):
        page = ids[begin : begin + _PAGE]
        found = {
            str(key): document
            for key, document in UserPreferences.objects.db_manager(ALIAS).documents(page).items()
        }
        yield from ((user, found.get(user)) for user in page)

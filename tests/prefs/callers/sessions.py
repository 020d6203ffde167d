"""What a session is left with: settings that are not those of a new one."""

from __future__ import annotations

from typing import Any

from django.db import connection

from prefs.sql.trigger_functions import TURNING
from tests.support.stores import query

_MARKS = ("prefs.writing", "prefs.cascading", TURNING)
_STATE = f"""SELECT name, setting FROM pg_settings WHERE source IN ('session', 'user')
  UNION ALL SELECT m, coalesce(current_setting(m, true), '') FROM
    unnest(ARRAY{list(_MARKS)}) m
  UNION ALL SELECT 'advisory lock', objid::text FROM pg_locks
    WHERE locktype = 'advisory' AND pid = pg_backend_pid()
  ORDER BY 1"""


def left_behind() -> list[tuple[Any, ...]]:
    """The settings, marks and advisory locks that the session has between two transactions."""
    assert not connection.in_atomic_block
    return query(_STATE)

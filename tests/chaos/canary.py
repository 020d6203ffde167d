"""An operator who raises and lowers the canary, and tells of mismatches that there are none of."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

from django.db import DEFAULT_DB_ALIAS as ALIAS
from django.db import connection

from prefs.engine import canary
from prefs.routing import CANARY, SHADOW
from prefs.sql import shadow
from tests.chaos.operators import Operator
from tests.chaos.taking import SETTINGS

# The user of whom mismatches are told; nobody deletes those who are reserved.
_TOLD = 1
_SHADOWED = Decimal(20)
# In one snapshot: a canary that is up beside a mismatch that no later verification contradicts.
_CONTRADICTION = """SELECT s.percent, m.found_at FROM waffle_sample s, prefs_mismatch m
  WHERE s.name = 'prefs_canary_reads' AND s.percent > 0 AND m.found_at >= (
    SELECT v.started_at FROM prefs_run v WHERE v.kind = 'verification' AND v.status = 'done'
    ORDER BY v.id DESC LIMIT 1)"""
_FOUND = f"SELECT user_id, leaves FROM prefs_mismatch WHERE user_id <> {_TOLD}"


def _set(name: str, percent: Decimal) -> None:
    canary.turn(ALIAS, name, percent, SETTINGS)


class Canarian(Operator):
    """Turns canary and shadow reads beside the flipper, and tells of mismatches as it raises."""

    def act(self) -> None:
        self._look()
        if self._sees_it_raised():
            time.sleep(self.random.uniform(0, 0.03))
            self._tell()
        elif self.random.random() < 0.05:
            _set(CANARY, Decimal(0))
        elif self.random.random() < 0.2:
            _set(SHADOW, _SHADOWED)

    def _sees_it_raised(self) -> bool:
        """Whether the flipper raises the canary in the next moments; now and then it is let."""
        patience = time.monotonic() + self.random.uniform(0.1, 0.6)
        while not self.board.raises and time.monotonic() < patience:
            time.sleep(0.003)
        return self.board.raises and self.random.random() < 0.6

    def _tell(self) -> None:
        given: dict[str, Any] = {"user": _TOLD, "leaves": "[]", "blob": None, "tables": None}
        with connection.cursor() as cursor:
            cursor.execute(shadow.note(), given)

    def _look(self) -> None:
        """Complain of a canary that a mismatch has not ended, and of mismatches that were found."""
        with connection.cursor() as cursor:
            for what, statement in (
                ("a canary beside a mismatch", _CONTRADICTION),
                ("a mismatch", _FOUND),
            ):
                cursor.execute(statement)
                for row in cursor.fetchall():
                    self.complaints.add(what, " ".join(map(str, row)))

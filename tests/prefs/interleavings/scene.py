"""The database as it is before a play: made anew between orders by one message of SQL."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass

from prefs.engine.states import State
from prefs.routing import CANARY, SWITCHES
from prefs.sql.copying import upserts
from prefs.sql.names import literal
from tests.prefs.interleavings.world import START
from tests.support.stores import query

_EMPTIED = (
    "user_preferences",
    "notification_preferences",
    "accounts_user",
    "prefs_run",
    "prefs_range",
    "prefs_transition",
    "prefs_audit",
    "prefs_mismatch",
)


class Mirror(enum.Enum):
    """How the store that is not read stands to the one that is."""

    EQUAL = "equal"
    MISSING = "not copied"
    BEHIND = "behind"


@dataclass(frozen=True)
class Scene:
    """A state that was reached by a settled transition, and people in it.

    Where the way on asks for a verification of an equal mirror, there is one on record; elsewhere
    where it says that it is `verified`.
    """

    state: State
    mirror: Mirror = Mirror.EQUAL
    verified: bool = False

    def prepare(self) -> None:
        """Have a function of this session make it, which plans its statements once.

        What earlier plays have left in the tables is cleared away, or each would be slower.
        """
        query(f"VACUUM waffle_switch, waffle_sample, {', '.join(_EMPTIED)}")
        query(
            "CREATE OR REPLACE FUNCTION pg_temp.make_scene() RETURNS void LANGUAGE plpgsql AS"
            f" $scene$DECLARE counts bigint[]; BEGIN {self._statements()} END$scene$"
        )

    def make(self) -> None:
        """Make the database so, past its triggers."""
        query("SELECT pg_temp.make_scene()")

    def _statements(self) -> str:
        switches = "".join(
            f"UPDATE waffle_switch SET active = {active} WHERE name = {literal(name)}"
            f" AND active <> {active};"
            for name, active in zip(SWITCHES, self.state.route.value, strict=True)
        )
        return f"""SET LOCAL session_replication_role = replica;
        {"".join(f"DELETE FROM {table};" for table in _EMPTIED)} {switches}
        UPDATE waffle_sample SET percent = 0 WHERE name = {literal(CANARY)} AND percent <> 0;
        INSERT INTO prefs_transition (from_state, to_state, actor, reason, gates, figures,
            taken_at, settled_at)
          VALUES ('', {literal(self.state)}, '', '', '[]', '{{}}', now(), now());
        {self._verification()}
        INSERT INTO accounts_user (id, username, password, first_name, last_name, email,
            is_superuser, is_staff, is_active, date_joined, preferences) VALUES {_people()};
        {self._mirror()}"""

    def _verification(self) -> str:
        asked = self.state is State.READ_CUTOVER and self.mirror is Mirror.EQUAL
        if not (asked or self.verified):
            return ""
        return f"""INSERT INTO prefs_run (kind, status, phase, users, copied, differing, repaired,
            batches, retries, holder, error, paused, stopping, figures, started_at,
            phase_began_at, finished_at)
          SELECT 'verification', 'done', 'compare', {len(START)}, 0, 0, 0, 1, 0, '', '',
            false, false, '{{}}', t, t, t
          FROM clock_timestamp() t;"""

    def _mirror(self) -> str:
        users = "(SELECT u.id AS user_id, u.preferences AS doc FROM accounts_user u)"
        counts = "ARRAY[{user_rows}, {notification_rows}]"
        copy = f"WITH {upserts(users, counts)} INTO counts;"
        if self.mirror is Mirror.EQUAL:
            return copy
        if self.mirror is Mirror.MISSING:
            return ""
        older = """UPDATE accounts_user SET preferences =
          preferences - 'start' || '{"language": "fr", "stale": 1}';"""
        if self.state.route.reads_tables:
            return copy + older
        newer = ", ".join(
            f"({key}, {literal(json.dumps(document))}::jsonb)" for key, document in START.items()
        )
        return f"""{older}{copy} UPDATE accounts_user u SET preferences = d.doc
          FROM (VALUES {newer}) d(id, doc) WHERE u.id = d.id;"""


def _people() -> str:
    return ", ".join(
        f"({key}, 'person {key}', '', '', '', '', false, false, true, now(),"
        f" {literal(json.dumps(document))}::jsonb)"
        for key, document in START.items()
    )

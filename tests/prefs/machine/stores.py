"""Both stores of everybody in one look, by a session of its own; and a site emptied for a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefs.engine.states import State
from tests.prefs.machine.documents import parse, text_of
from tests.prefs.machine.model import Model
from tests.support import reference, scratch
from tests.support.reference import ABSENT
from tests.support.stores import restore_column
from tests.support.tampering import drop_column

_TIMES = ("quiet_hours_start", "quiet_hours_end")
_COLUMNS = ", ".join(f"{c}::text" if c in _TIMES else c for c in reference.COLUMNS)
_OF_USERS = ("user_preferences", "notification_preferences", "prefs_archive", "accounts_user")
_RECORDS = (
    "prefs_range",
    "prefs_run",
    "prefs_transition",
    "prefs_audit",
    "prefs_archive_departure",
)


def _look(blob: str) -> bytes:
    """Everything at once: where the site stands, and each user's blob and typed rows."""
    return f"""SELECT s.*, u.id, {blob}, p.user_id, n.user_id, {_COLUMNS}, p.residue::text
    FROM (SELECT ARRAY(SELECT active FROM waffle_switch ORDER BY name),
      EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'accounts_user'::regclass
        AND attname = 'preferences' AND NOT attisdropped),
      EXISTS (SELECT FROM prefs_transition WHERE settled_at IS NULL)) s
    LEFT JOIN (accounts_user u FULL JOIN user_preferences p ON p.user_id = u.id
      FULL JOIN notification_preferences n ON n.user_id = coalesce(u.id, p.user_id)) ON true
    """.encode()


_LOOKS = {True: _look("u.preferences::text"), False: _look("NULL")}
_ROUTES = {
    State.EXPANDED: [False, False],
    State.DUAL_WRITE: [True, False],
    State.READ_CUTOVER: [True, True],
    State.MIRROR_OFF: [False, True],
    State.DROPPED: [False, True],
}


class Stores:
    """A session that looks at the stores of a site, past everything under test.

    What is on record when it begins is the past of every run.
    """

    def __init__(self, site: str) -> None:
        self._session = scratch.connect(site, "prefs machine")
        self._session.prepare_threshold = 0
        self._past = {
            table: row[0]
            for table in _RECORDS
            for row in self._session.execute(f"SELECT coalesce(max(id), 0) FROM {table}".encode())
        }

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def empty(self, state: State) -> None:
        """Take away every user and what was recorded since, and have the site in `state`."""
        if state is State.DROPPED:
            drop_column()
        else:
            restore_column()
        dual_write, read_tables = state.route.value
        statements = (
            "SET session_replication_role = replica",
            *(f"DELETE FROM {table}" for table in _OF_USERS),
            *(f"DELETE FROM {table} WHERE id > {last}" for table, last in self._past.items()),
            f"UPDATE waffle_switch SET active = (name = 'prefs_dual_write' AND {dual_write})"
            f" OR (name = 'prefs_read_tables' AND {read_tables})",
            "SET session_replication_role = origin",
        )
        self._session.execute("; ".join(statements).encode(), prepare=False)

    def wrong(self, model: Model, keys: Mapping[int, int]) -> list[str]:
        """What is not as the model says, a sentence each."""
        found = self._session.execute(_LOOKS[model.has_column]).fetchall()
        expected = (_ROUTES[model.state], model.has_column, model.is_open)
        wrong = [] if found[0][:3] == expected else [f"the site is {found[0][:3]}, not {expected}"]
        rows = {row[3] or row[5] or row[6]: row[3:] for row in found}
        rows.pop(None, None)
        numbers = {key: number for number, key in keys.items() if number in model.users}
        for key in rows.keys() | numbers.keys():
            name = f"user {numbers.get(key, key)}"
            if key not in rows or rows[key][0] is None or key not in numbers:
                wrong.append(f"{name} is {'not there' if key in numbers else 'still there'}")
            else:
                wrong += [f"{name}: {w}" for w in _wrong_row(rows[key], model, numbers[key])]
        return wrong


def _wrong_row(row: tuple[Any, ...], model: Model, user: int) -> list[str]:
    blob, user_row, notification_row, *columns, residue = row[1:]
    expected_blob, typed = model.rows(user)
    wrong = []
    if model.has_column and parse(blob) != expected_blob:
        wrong.append(f"the blob is {blob}, not {text_of(expected_blob)}")
    if (user_row is None, notification_row is None) != (typed is None,) * 2:
        there = "has" if typed is None else "lacks"
        wrong.append(f"{there} typed rows")
    elif typed is not None:
        found = dict(zip(reference.COLUMNS, columns, strict=True))
        if _spelled(found, parse(residue)) != _spelled(*typed):
            wrong.append(f"the rows are {_spelled(found, parse(residue))}, not {_spelled(*typed)}")
    return wrong


def _spelled(columns: dict[str, Any], residue: Any) -> str:
    given = {column: value for column, value in columns.items() if value is not None}
    return f"{given} and {'nothing' if residue is ABSENT else _sorted(residue)}"


def _sorted(tree: Any) -> str:
    """The text of a tree, its keys in order."""
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{k!r}: {_sorted(tree[k])}" for k in sorted(tree)) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(_sorted, tree)) + "]"
    return str(text_of(tree))

"""What must be in the database after a play, kept beside it in Python; and what is in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from prefs.engine.states import State
from prefs.sql.documents import tables_document
from tests.support.stores import query

Document = dict[str, Any]

FIRST, SECOND, NEWCOMER = 1, 2, 3
MOVED = 1001
START: Mapping[int, Document] = {
    FIRST: {
        "start": 1,
        "number": 1,
        "language": "en",
        "timezone": "UTC",
        "date_format": "iso",
        "notifications": {"email": {"digest": "daily"}},
    },
    SECOND: {"start": 2, "timezone": "UTC", "theme": "system"},
}


@dataclass
class World:
    """People and their documents, as those who wrote them were told."""

    documents: dict[int, Document] = field(
        default_factory=lambda: {person: dict(document) for person, document in START.items()}
    )
    keys: dict[int, int] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    damaged: bool = False
    """Whether a mirror was damaged on purpose, and no mismatch is on record yet."""
    stale: list[str] = field(default_factory=list)

    def write(self, person: int, leaves: Mapping[str, Any]) -> None:
        """Leaves of a document were set, or removed where they are None."""
        for name, value in leaves.items():
            self.documents[person].pop(name, None)
            if value is not None:
                self.documents[person][name] = value

    def read(self, person: int, document: Document) -> None:
        """A document was read; until a damage is told of, who reads the mirror may meet it."""
        if not self.damaged and canonical(document) != canonical(self.documents[person]):
            meant = canonical(self.documents[person])
            self.stale.append(f"user {person} read {canonical(document)}, not {meant}")

    def expected(self) -> dict[int, str]:
        """The documents that must be read, by key."""
        return {
            self.keys.get(person, person): canonical(document)
            for person, document in self.documents.items()
            if person not in self.gone
        }


# What a part did, told to the world once it is committed.
Deed = Callable[[World], object]


def canonical(document: Any) -> str:
    """One text for each document; 1 and 1.0 are two."""
    return json.dumps(document, sort_keys=True)


def _parsed(text: str | None) -> str:
    return canonical(None if text is None else json.loads(text))


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is in the database: the state, both documents by key, and rows without a user."""

    state: State
    blobs: dict[int, str]
    tables: dict[int, str]
    rowless: list[int]
    orphans: int
    claimed: bool
    """Whether a verification begun after the last drain found that the stores are equal."""

    @property
    def read(self) -> dict[int, str]:
        """What a client reads."""
        return self.tables if self.state.route.reads_tables else self.blobs

    @property
    def apart(self) -> list[int]:
        """The keys of those whose stores differ."""
        return [k for k in self.blobs if k in self.rowless or self.blobs[k] != self.tables[k]]


_ROUTES = {state.route.value: state for state in State if state is not State.DROPPED}


@cache
def _statement() -> str:
    tables = ("user_preferences", "notification_preferences")
    rows = " AND ".join(f"EXISTS (SELECT FROM {t} r WHERE r.user_id = u.id)" for t in tables)
    orphans = " + ".join(
        f"(SELECT count(*) FROM {t} r WHERE NOT EXISTS"
        " (SELECT FROM accounts_user u WHERE u.id = r.user_id))"
        for t in tables
    )
    return f"""SELECT jsonb_object_agg(name, active)::text, {orphans},
      (SELECT coalesce(jsonb_agg(jsonb_build_array(u.id, u.preferences::text,
        {tables_document("u.id")}::text, {rows})), '[]') FROM accounts_user u)::text,
      coalesce((SELECT r.differing = 0 AND r.started_at > (SELECT t.settled_at
          FROM prefs_transition t ORDER BY t.id DESC LIMIT 1)
          AND NOT EXISTS (SELECT FROM prefs_mismatch m WHERE m.found_at >= r.started_at)
        FROM prefs_run r WHERE r.kind = 'verification' AND r.status = 'done'
        ORDER BY r.id DESC LIMIT 1), false)
    FROM waffle_switch"""


def look() -> Found:
    """Read everything in one snapshot."""
    [(active, orphans, people, claimed)] = query(_statement())
    switches = json.loads(active)
    route = (switches["prefs_dual_write"], switches["prefs_read_tables"])
    rows = json.loads(people)
    return Found(
        state=_ROUTES[route],
        blobs={key: _parsed(blob) for key, blob, _, _ in rows},
        tables={key: _parsed(tables) for key, _, tables, _ in rows},
        rowless=[key for key, _, _, has_rows in rows if not has_rows],
        orphans=orphans,
        claimed=claimed,
    )

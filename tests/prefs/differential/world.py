"""What an operation works in: one family of models, over one database, seen from outside too."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from django.db import connection, connections, transaction

from prefs.mapping import NOTIFICATION_TABLE, USER_TABLE
from prefs.sql import copying
from prefs.sql.expressions import document, typed
from prefs.sql.names import ANYWHERE
from prefs.sql.writes import upsert
from tests.prefs.differential.canon import canon
from tests.support import stores
from tests.support.scratch import Session
from tests.support.stores import Place

if TYPE_CHECKING:
    # They are installed only while these tests run.
    from tests.prefs.differential.models import Family

BEFORE = {"theme": "light", "beta": 1, "notifications": {"email": {"digest": "daily"}}}
# Deeper than any decoder of Python's follows; a number longer than its limit.
TOO_DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000
TOO_LONG = '{"n": ' + "9" * 6000 + "}"
_BLANK = {
    **dict.fromkeys(("password", "first_name", "last_name", "email"), ""),
    "is_superuser": False,
    "is_staff": False,
    "is_active": True,
    "date_joined": "2020-01-01 00:00+00",
}


@cache
def _filling(table: str) -> bytes:
    """The statement that makes the typed row of a user from a document."""
    statement = (
        "WITH source AS (SELECT %(id)s::bigint AS user_id, %(text)s::text::jsonb AS doc),"
        f" typed AS MATERIALIZED ({typed('source')}) {upsert(table, 'typed s')}"
    )
    return statement.replace(f"{ANYWHERE}.", "").encode()


class World:
    """The models of one family by role, and the ways to prepare and to look at what is stored."""

    def __init__(self, family: Family, place: Place | None, outside: Session) -> None:
        self.family = family
        # None: the plain column, which knows no states.
        self.place = place
        # A session of its own, which sees what was committed.
        self.outside = outside
        self.table: str = family.user._meta.db_table

    def __getattr__(self, role: str) -> Any:
        """The model of a role: `world.user`, `world.note`."""
        return getattr(self.family, role)

    def __str__(self) -> str:
        return self.place.name if self.place else "the plain column"

    # --- before an operation ------------------------------------------------------------

    def add(self, document: Any = BEFORE, *, text: str | None = None, **columns: Any) -> int:
        """A user with this document, made behind Django's back and past the triggers; the key."""
        if text is None and document is not None:
            text = json.dumps(document)
        values = {**_BLANK, **columns}
        if self.place is None or self.place.has_column:
            kept = self.place is None or self.place.route.writes_blob
            values["preferences"] = text if kept else stores.DECOY
        named = ", ".join(values)
        given = ", ".join(f"%({name})s" for name in values)
        [[key]] = self._seen(
            f"INSERT INTO {self.table} (id, username, {named}) SELECT k, 'user' || k, {given}"
            f" FROM nextval(pg_get_serial_sequence('{self.table}', 'id')) k RETURNING id",
            values,
        )
        if self.place is not None:
            mirrored = text if self.place.route.writes_tables else stores.DECOY
            for table in (USER_TABLE, NOTIFICATION_TABLE):
                self.outside.execute(_filling(table), {"id": key, "text": mirrored}, prepare=True)
        return int(key)

    def add_many(self, *documents: Any) -> list[int]:
        """A user for each of the documents."""
        return [self.add(document) for document in documents]

    def load(self, document: Any = BEFORE, **columns: Any) -> Any:
        """A user with this document, loaded by the default manager."""
        return self.user.objects.get(pk=self.add(document, **columns))

    # --- meanwhile ----------------------------------------------------------------------

    def elsewhere(self, work: Callable[[], Any]) -> Any:
        """What `work` gives in a thread with a connection of its own, at its end."""

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(self._and_close, work).result()

    def _and_close(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    def write_elsewhere(self, key: int, document: Any) -> None:
        """Have another connection store a document, and commit."""
        written = self.elsewhere(
            lambda: self.user.objects.filter(pk=key).update(preferences=document)
        )
        assert written == 1

    def overtaken(self, key: int, document: Any, work: Callable[[], Any]) -> Any:
        """What `work` gives that waits for another transaction, which then stores a document."""
        me = stores.query("SELECT pg_backend_pid()")[0][0]
        began = threading.Event()

        def write() -> None:
            with transaction.atomic():
                self.user.objects.filter(pk=key).update(preferences=document)
                began.set()
                self._wait_until_blocked(me)

        with ThreadPoolExecutor(1) as pool:
            writer = pool.submit(self._and_close, write)
            assert began.wait(10), writer.exception()
            result = work()
            writer.result()
        return result

    def _wait_until_blocked(self, pid: int) -> None:
        asked = b"SELECT cardinality(pg_blocking_pids(%s)) > 0"
        for _ in range(1000):
            if self.outside.execute(asked, [pid], prepare=True).fetchone() == (True,):
                return
            time.sleep(0.005)
        raise AssertionError("nobody waited for the other transaction")

    def committed(self, key: int) -> Any:
        """The document that another connection sees, as text; "gone" without the row."""
        return self.documents([key]).get(key, "gone")

    # --- afterwards ---------------------------------------------------------------------

    def documents(self, keys: Sequence[int] | None = None) -> dict[int, str | None]:
        """The text of the document of every user, or of some, that was committed."""
        chosen = "" if keys is None else " WHERE u.id = ANY(%(keys)s)"
        if self.place is None or not self.place.route.reads_tables:
            statement = f"SELECT u.id, u.preferences::text FROM {self.table} u{chosen}"
        else:
            statement = (
                f"SELECT u.id, ({document('p', 'n')})::text FROM {self.table} u"
                f" LEFT JOIN {USER_TABLE} p ON p.user_id = u.id"
                f" LEFT JOIN {NOTIFICATION_TABLE} n ON n.user_id = u.id{chosen}"
            )
        found = self._seen(statement, {"keys": None if keys is None else list(keys)})
        return dict(found)

    def _seen(self, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """What the other session gets."""
        text = statement.replace(f"{ANYWHERE}.", "")
        return self.outside.execute(text.encode(), parameters, prepare=True).fetchall()

    def parted(self) -> list[int]:
        """Users whose two stores differ, where the two are to be the same."""
        if self.place is None or not self.place.route.mirrored:
            return []
        keys = list(self.documents())
        return [row[0] for row in self._seen(copying.difference_of(), {"ids": keys})]

    def rows(self) -> dict[str, Any]:
        """Every other column of the family's tables that was committed, by role and place."""
        found: dict[str, dict[str, Any]] = {role: {} for role in self._tables}
        for role, row in self._seen(self._look):
            found[role][str(row.get("id", len(found[role])))] = canon(row)
        return found

    @cached_property
    def _look(self) -> str:
        # Documents of users are looked at by themselves; the key of a model's type is its own.
        without = {"user": " - 'preferences'", "tag": " - 'kind_id'"}
        looks = (
            f"(SELECT '{role}', to_jsonb(t){without.get(role, '')} FROM {table} t ORDER BY 2)"
            for role, table in self._tables.items()
        )
        return " UNION ALL ".join(looks)

    @cached_property
    def _tables(self) -> dict[str, str]:
        tables = {
            role: model._meta.db_table
            for role, model in self.family.roles.items()
            if not model._meta.proxy
        }
        return {**tables, "members": self.team.members.through._meta.db_table}

    def clear(self) -> None:
        """Empty the family's tables, have their keys begin at 1001, and forget instances."""
        self.outside.execute(self._emptying)
        assert not connection.in_atomic_block

    @cached_property
    def _emptying(self) -> bytes:
        typed = () if self.place is None else (USER_TABLE, NOTIFICATION_TABLE)
        tables = (*self._tables.values(), *typed)
        emptied = "; ".join(f"DELETE FROM {table}" for table in tables)
        restarted = "; ".join(
            f"SELECT setval(s, 1000) FROM pg_get_serial_sequence('{table}', '{column}') s"
            for table, column in self._serials()
        )
        return (
            f"BEGIN; SET LOCAL session_replication_role = replica; {emptied}; {restarted}; COMMIT"
        ).encode()

    def _serials(self) -> list[tuple[str, str]]:
        through = self.team.members.through._meta
        options = [m._meta for m in self.family.roles.values() if not m._meta.proxy]
        return [
            (each.db_table, each.pk.column)
            for each in (*options, through)
            if each.pk.remote_field is None and each.pk.get_internal_type().endswith("AutoField")
        ]

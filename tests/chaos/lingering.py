"""Transactions that outlast a flip: open, prepared, waiting for a row, or in an old snapshot.

They are few, and mostly wait, so they cost the other clients little.
"""

from __future__ import annotations

import random
import time

from django.db import connection, transaction

from prefs.managers import UnsupportedIsolation
from prefs.models import UserPreferences
from tests.chaos.checker import key
from tests.chaos.client import DROPPED, FROZEN, LINGERED, Client
from tests.chaos.clients import RawWriter
from tests.chaos.operators import Operator

_PATIENCE = 3.0
_PREPARED = "chaos"
# The name of a prepared transaction is gone, or another session is about to commit it.
_COMMITTED = ("42704", FROZEN)
_UPDATE = (
    "UPDATE accounts_user SET preferences = jsonb_set(preferences, ARRAY[%s],"
    " coalesce(preferences -> %s, '{}') || jsonb_build_object(%s::text, 1)) WHERE id = %s"
)


def reserved(chance: random.Random) -> int:
    """The place of one of the users whom those who linger write."""
    return chance.randrange(LINGERED)


def stay(client: Client) -> None:
    """Stay, having written; a flip that comes meanwhile has not reached everyone.

    A drop and a restore of the column are no flips: no write of the tables reads another route.
    """
    written = time.time()
    time.sleep(client.random.uniform(0.2, 0.8))
    taken, settled = _flips_since(written)
    if taken > settled:
        # It waits for us; on a busy machine one that does not wait needs a moment to settle.
        time.sleep(0.3)
        _, settled = _flips_since(written)
    if settled:
        client.complain("a flip that did not wait", f"{settled} settled over an open write")


def _flips_since(moment: float) -> tuple[int, int]:
    """How many were taken since, and how many of those have settled."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(settled_at) FROM prefs_transition"
            " WHERE taken_at > to_timestamp(%s) AND 'dropped' NOT IN (from_state, to_state)",
            [moment],
        )
        taken, settled = cursor.fetchone()
    return int(taken), int(settled)


def prepared() -> list[str]:
    """The names of all prepared transactions."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()")
        return [row[0] for row in cursor.fetchall()]


def commit_prepared(name: str) -> None:
    """Commit one of ours: its name holds no quotes."""
    with connection.cursor() as cursor:
        cursor.execute(f"COMMIT PREPARED '{name}'")


class Lingerer(Client):
    """This release: transactions open for long or prepared; writes by manager and by hand."""

    slot = 8
    refusals = (DROPPED, *_COMMITTED)
    _due = 0.0
    # At first there may be some of a process that was killed; they outlive the server, too.
    _unfinished = True

    def hurry(self) -> None:
        """Never: it is here to linger."""

    def write(self) -> None:
        lingers = time.monotonic() > self._due
        if lingers or self._unfinished:
            self._finish()
        if lingers:
            self._due = time.monotonic() + self.random.uniform(0.5, 3)
            self.random.choice((self._linger, self._prepare, self._prepare))()
        else:
            self._both_ways()
        time.sleep(self.random.uniform(0.02, 0.06))

    def _both_ways(self) -> None:
        place = self.some_user()
        by_manager, by_hand = self.intend(place), self.intend(place)
        with transaction.atomic():
            UserPreferences.objects.merge(place + 1, self.patch(by_manager))
            with connection.cursor() as cursor:
                own = key(self.slot)
                cursor.execute(_UPDATE, [own, own, str(by_hand), place + 1])
        for token in (by_manager, by_hand):
            self.acknowledge(place, token)

    def _linger(self) -> None:
        place = reserved(self.random)
        token = self.intend(place)
        with transaction.atomic():
            UserPreferences.objects.merge(place + 1, self.patch(token))
            stay(self)
        self.acknowledge(place, token)

    def _prepare(self) -> None:
        place = reserved(self.random)
        token = self.intend(place)
        self._unfinished = True
        with transaction.atomic():
            UserPreferences.objects.merge(place + 1, self.patch(token))
            with connection.cursor() as cursor:
                cursor.execute(f"PREPARE TRANSACTION '{_PREPARED} {place} {token}'")
        stay(self)
        self._finish()

    def _finish(self) -> None:
        for name in prepared():
            commit_prepared(name)
            _, place, token = name.split()
            self.acknowledge(int(place), int(token))
        self._unfinished = False


class Holder(Operator):
    """Somebody who locks a user for another reason, and knows nothing of preferences."""

    def act(self) -> None:
        self.board.held = None
        time.sleep(0.01)
        if not self.board.wanted and self.random.random() > 0.002:
            return
        place, passes = reserved(self.random), self.board.passes
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT FROM accounts_user WHERE id = %s FOR NO KEY UPDATE", [place + 1])
            self.board.held = place
            # No drain waits for it, so it can outlast a flip and the catch-up that follows.
            patience = time.monotonic() + _PATIENCE
            while self.board.passes == passes and time.monotonic() < patience:
                time.sleep(0.01)


class Latecomer(RawWriter):
    """SQL by hand that comes to a row which is held, and writes when it is let go."""

    slot = 9

    def hurry(self) -> None:
        """Never: it is here to wait."""

    def write(self) -> None:
        place = self.board.held
        if place is not None:
            self.board.waits = True
            self.append([place])
        self.board.waits = False
        time.sleep(0.03)


class Snapshotter(Client):
    """Writes at REPEATABLE READ, by our manager or by hand: it has to be refused."""

    slot = 10
    refusals = (DROPPED, FROZEN, "0A000", "40001")

    def write(self) -> None:
        time.sleep(self.random.uniform(0.1, 0.4))
        place = self.some_user()
        token = self.intend(place)
        try:
            written = self._write_in_one_snapshot(place, token)
        except UnsupportedIsolation:
            return
        if written:
            self.acknowledge(place, token)
            self.complain("a snapshot that was let through", f"token {token} of user {place + 1}")

    def _write_in_one_snapshot(self, place: int, token: int) -> bool:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT FROM django_content_type")
            time.sleep(self.random.uniform(0, 0.3))
            if self.random.random() < 0.5:
                UserPreferences.objects.merge(place + 1, self.patch(token))
                return True
            own = key(self.slot)
            cursor.execute(_UPDATE, [own, own, str(token), place + 1])
            return bool(cursor.rowcount > 0)

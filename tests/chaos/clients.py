"""The clients: each appends unique tokens its own way, and checks what it reads.

All of them write to the same users. What a client is told was written goes into its ledger;
what it meets that no client should meet goes into its list of complaints.
"""

from __future__ import annotations

import abc
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.db import DatabaseError, InterfaceError, connection, transaction

from prefs.ddl import sqlstate
from prefs.models import UserPreferences
from tests.chaos.board import SLOTS, Board
from tests.chaos.checker import key, tokens_of
from tests.chaos.ledger import Kind, Ledger
from tests.chaos.previous.models import User as PreviousUser

# Gone (crash, kill), cancelled, timed out on a lock: the harness does all of that on purpose.
_EXPECTED = ("57014", "55P03")
_DROPPED = "42703"
_FROZEN = "55000"

THEMES = ("light", "dark", "system")
DIGESTS = ("off", "daily", "weekly")
# Whatever chance has it: a run in which everybody is gone would write nothing more.
_FEWEST = 500


class Client(abc.ABC):
    """One client process, in one of the slots; a new one takes the slot of one that was killed."""

    slot: int
    # What the database may answer to this kind of writer by protocol.
    refusals: tuple[str, ...] = ()

    def __init__(self, folder: Path, board: Board, seed: str) -> None:
        self.board = board
        self.random = random.Random(seed)
        self.ledger = Ledger(folder, self.slot)
        self.complaints = folder / "complaints"

    def run(self, ended: Callable[[], bool]) -> None:
        """Write and read until `ended`, or until a signal."""
        while not ended():
            try:
                self._hurry()
                if self.random.random() < 0.25:
                    self.read(self.some_user())
                else:
                    self.write()
            except (DatabaseError, InterfaceError) as error:
                self.endure(error)
            except (get_user_model().DoesNotExist, PreviousUser.DoesNotExist) as error:
                self.must_be_gone(error)

    def _hurry(self) -> None:
        """Now and then work for a while under a time limit that some statements run into."""
        chance = self.random.random()
        if chance < 0.002:
            limit = self.random.choice(("statement_timeout", "lock_timeout"))
            with connection.cursor() as cursor:
                cursor.execute(f"SET {limit} = {self.random.randint(1, 20)}")
        elif chance < 0.01:
            with connection.cursor() as cursor:
                cursor.execute("RESET statement_timeout")
                cursor.execute("RESET lock_timeout")

    @abc.abstractmethod
    def write(self) -> None:
        """Write one or more tokens and acknowledge them."""

    def some_user(self) -> int:
        """The place of a user who is there."""
        while True:
            place = self.random.randrange(self.board.used)
            if self.board.is_alive(place):
                self.place = place
                return place

    def intend(self, place: int) -> int:
        """A new token for a user, meant to be written."""
        token = self.board.next_token(self.slot)
        self.ledger.add(Kind.INTENDED, place, token)
        return token

    def acknowledge(self, place: int, token: int) -> None:
        """What must be read from now on."""
        self.ledger.add(Kind.ACKNOWLEDGED, place, token)
        self.board.acknowledged(self.slot, place, token)

    def read(self, place: int) -> None:
        """Read a document; every token that was acknowledged before must be in it."""
        due = self.board.seen_by_all(place)
        found = tokens_of(self.document(place))
        stale = [(slot, due[slot]) for slot in range(SLOTS) if due[slot]]
        missing = [token for token in stale if token not in found]
        if missing and self.board.is_alive(place):
            self.complain(f"a read of user {place + 1} was older than {missing}")

    def document(self, place: int) -> Any:
        """The document as this client reads it."""
        return UserPreferences.objects.document(place + 1)

    def patch(self, token: int) -> dict[str, Any]:
        """A merge patch that appends a token."""
        return {key(self.slot): {str(token): 1}}

    def endure(self, error: Exception) -> None:
        """Go on after what the harness did on purpose; complain of anything else."""
        state = sqlstate(error)
        if isinstance(error, InterfaceError) or state[:2] in ("", "08", "57") or not state:
            connection.close()
            time.sleep(0.02)
        elif state in self.refusals:
            # Not its time: it would only burn tokens.
            time.sleep(0.05)
        elif state not in _EXPECTED:
            self.complain(f"{type(error).__name__} {state}: {error}")

    def must_be_gone(self, error: Exception) -> None:
        """Complain unless the user was deleted meanwhile."""
        if self.board.is_alive(self.place):
            self.complain(f"user {self.place + 1} was not found: {error}")

    def complain(self, what: str) -> None:
        """Leave a complaint for the report."""
        with self.complaints.open("a") as file:
            file.write(f"{type(self).__name__}: {what}\n")


class Merger(Client):
    """This release: merges in autocommit, a mapped leaf of its own among them."""

    slot = 0

    def write(self) -> None:
        place = self.some_user()
        token = self.intend(place)
        patch = {**self.patch(token), "items_per_page": token % 500 + 1}
        UserPreferences.objects.merge(place + 1, patch)
        self.acknowledge(place, token)


class SecondMerger(Merger):
    """Another of that kind, with another leaf."""

    slot = 1

    def write(self) -> None:
        place = self.some_user()
        token = self.intend(place)
        patch = {**self.patch(token), "notifications": {"email": {"digest": DIGESTS[token % 3]}}}
        UserPreferences.objects.merge(place + 1, patch)
        self.acknowledge(place, token)


class Transactor(Client):
    """This release: several users in one transaction, savepoints rolled back, idle moments."""

    slot = 2

    def write(self) -> None:
        places = sorted({self.some_user() for _ in range(self.random.randint(1, 4))})
        tokens = {place: self.intend(place) for place in places}
        with transaction.atomic():
            for place in places:
                self.place = place
                UserPreferences.objects.merge(place + 1, self.patch(tokens[place]))
                if self.random.random() < 0.2:
                    self._undo_another(place)
            if self.random.random() < 0.1:
                time.sleep(self.random.uniform(0, 0.05))
        for place in places:
            self.acknowledge(place, tokens[place])

    def _undo_another(self, place: int) -> None:
        token = self.intend(place)
        savepoint = transaction.savepoint()
        UserPreferences.objects.merge(place + 1, self.patch(token))
        transaction.savepoint_rollback(savepoint)
        self.ledger.add(Kind.UNDONE, place, token)


class Unchanged(Client):
    """Code that was never changed: an instance, its attribute, save(); often a stale instance."""

    slot = 3

    def write(self) -> None:
        place = self.some_user()
        user = get_user_model().objects.get(pk=place + 1)
        preferences = user.preferences
        if self.random.random() < 0.2:
            time.sleep(self.random.uniform(0, 0.02))
        token = self.intend(place)
        preferences.setdefault(key(self.slot), {})[str(token)] = 1
        preferences["theme"] = THEMES[token % 3]
        user.save()
        self.acknowledge(place, token)

    def document(self, place: int) -> Any:
        return get_user_model().objects.values_list("preferences", flat=True).get(pk=place + 1)


class RawWriter(Client):
    """SQL by hand, on the column."""

    slot = 4
    refusals = (_DROPPED, _FROZEN)

    def write(self) -> None:
        places = sorted({self.some_user() for _ in range(self.random.randint(1, 3))})
        tokens = {place: self.intend(place) for place in places}
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE accounts_user u SET preferences = jsonb_set(u.preferences, ARRAY[%s],"
                " coalesce(u.preferences -> %s, '{}') || jsonb_build_object(t.token, 1))"
                " FROM (SELECT l.id, g.token FROM unnest(%s::bigint[], %s::text[]) g(id, token)"
                " JOIN accounts_user l USING (id) ORDER BY l.id FOR NO KEY UPDATE OF l) t"
                " WHERE u.id = t.id RETURNING u.id",
                [
                    key(self.slot),
                    key(self.slot),
                    [place + 1 for place in places],
                    [str(tokens[place]) for place in places],
                ],
            )
            for (user,) in cursor.fetchall():
                self.acknowledge(user - 1, tokens[user - 1])


class PreviousSaver(Client):
    """The release before: locks the row, changes the attribute, saves the instance."""

    slot = 5

    def write(self) -> None:
        place = self.some_user()
        token = self.intend(place)
        with transaction.atomic():
            user = PreviousUser.objects.select_for_update(no_key=True).get(pk=place + 1)
            self._append(user, token)
            user.save()
        self.acknowledge(place, token)

    def _append(self, user: PreviousUser, token: int) -> None:
        document = user.preferences or {}
        document.setdefault(key(self.slot), {})[str(token)] = 1
        user.preferences = document

    def document(self, place: int) -> Any:
        return PreviousUser.objects.values_list("preferences", flat=True).get(pk=place + 1)


class PreviousUpdater(PreviousSaver):
    """The release before: locks rows, and writes them by bulk_update or update."""

    slot = 6

    def write(self) -> None:
        places = sorted({self.some_user() for _ in range(self.random.randint(1, 3))})
        tokens = {place: self.intend(place) for place in places}
        with transaction.atomic():
            rows = PreviousUser.objects.select_for_update(no_key=True).order_by("pk")
            users = list(rows.filter(pk__in=[place + 1 for place in places]))
            for user in users:
                self._append(user, tokens[user.pk - 1])
            if len(users) == 1:
                chosen = PreviousUser.objects.filter(pk=users[0].pk)
                chosen.update(preferences=users[0].preferences)
            else:
                PreviousUser.objects.bulk_update(users, ["preferences"])
        for user in users:
            self.acknowledge(user.pk - 1, tokens[user.pk - 1])


class Newcomers(Client):
    """People come and go: creates users with their first token, deletes others."""

    slot = 7

    def write(self) -> None:
        if self.random.random() < 0.5:
            if self.board.used < self.board.places:
                self._create()
        elif self.board.population() > _FEWEST:
            self._delete()

    def _create(self) -> None:
        place = self.board.used
        self.place = place
        token = self.intend(place)
        # The place is spent whatever happens: an insert in doubt may have been done.
        self.board.used = place + 1
        get_user_model().objects.create(
            pk=place + 1, username=f"user {place + 1}", preferences=self.patch(token)
        )
        self.acknowledge(place, token)
        self.board.set_alive(place, alive=True)

    def _delete(self) -> None:
        place = self.some_user()
        # Before, so that nobody takes its absence for a loss. In doubt it counts as gone.
        self.board.set_alive(place, alive=False)
        get_user_model().objects.filter(pk=place + 1).delete()


ROLES: tuple[type[Client], ...] = (
    Merger,
    SecondMerger,
    Transactor,
    Unchanged,
    RawWriter,
    PreviousSaver,
    PreviousUpdater,
    Newcomers,
)
PREVIOUS = (PreviousSaver.slot, PreviousUpdater.slot)

"""What all clients have in common: whom they choose, what they record, what they endure.

All of them write to the same users. What a client is told was written goes into its ledger;
what it meets that no client should meet goes among the complaints.
"""

from __future__ import annotations

import abc
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from prefs.ddl import sqlstate
from prefs.models import UserPreferences
from tests.chaos.board import SLOTS, Board
from tests.chaos.checker import key, tokens_of
from tests.chaos.evidence import DEADLOCK, Complaints
from tests.chaos.ledger import Kind, Ledger
from tests.chaos.previous.models import User as PreviousUser

# Cancelled, timed out on a lock: the harness does that on purpose, and nothing was written.
ROLLED_BACK = ("57014", "55P03")
DROPPED = "42703"
FROZEN = "55000"

# The first so many users are written by those who linger, and by nobody else, who would wait; the
# next by hand on their typed rows, and by nobody else, who would lock the user first.
LINGERED, BY_ROW = 40, 6
RESERVED = LINGERED + BY_ROW
# So many users are everybody's favourites for some seconds, and then others: clients meet, also
# a catch-up with who was written before the flip; and no document grows longer than the rest.
_FAVOURITES, _SECONDS = 4, 4
_FAVOURED = 0.25
# Clients breathe between two calls, or they would leave those who flip little of a small machine.
_BREATH = 0.004


class Client(abc.ABC):
    """One client process, in one of the slots; a new one takes the slot of one that was killed."""

    slot: int
    # What the database may answer to this kind of writer by protocol.
    refusals: tuple[str, ...] = ()

    def __init__(self, folder: Path, board: Board, seed: str) -> None:
        self.board = board
        self.random = random.Random(seed)
        self.ledger = Ledger(folder, self.slot)
        self.complaints = Complaints(folder)

    def run(self, ended: Callable[[], bool]) -> None:
        """Write and read until `ended`, or until a signal."""
        while not ended():
            time.sleep(self.random.uniform(0, _BREATH))
            try:
                self.hurry()
                if self.random.random() < 0.25:
                    self.read(self.some_user(first=0))
                else:
                    self.write()
            except (DatabaseError, InterfaceError) as error:
                self.endure(error)
            except (get_user_model().DoesNotExist, PreviousUser.DoesNotExist) as error:
                self.must_be_gone(error)

    def hurry(self) -> None:
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

    def some_user(self, *, first: int = RESERVED) -> int:
        """The place of a user who is there, from `first` on."""
        while True:
            place = self.random.randrange(first, self.board.used)
            if self.random.random() < _FAVOURED:
                favourite = int(time.time() / _SECONDS) * _FAVOURITES + place % _FAVOURITES
                place = RESERVED + favourite % (self.board.used - RESERVED)
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
        if self.random.random() < 0.05:
            self._refer_to(place)
        due = self.board.seen_by_all(place)
        began = time.time()
        found = tokens_of(self.document(place))
        stale = [(slot, due[slot]) for slot in range(SLOTS) if due[slot]]
        missing = [token for token in stale if token not in found]
        if self.board.is_alive(place):
            self.ledger.read(began, place, missing)
            if missing:
                self.complain("a stale read", f"of user {place + 1}, older than {missing}")

    def _refer_to(self, place: int) -> None:
        """Ask for what a foreign key's check asks for: no writer of preferences is in its way."""
        with connection.cursor() as cursor:
            try:
                cursor.execute(
                    "SELECT FROM accounts_user WHERE id = %s FOR KEY SHARE NOWAIT", [place + 1]
                )
            except OperationalError as error:
                if "lock on row" not in str(error):
                    raise
                if self.board.is_alive(place):
                    self.complain("a lock that foreign keys wait for", f"on user {place + 1}")

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
        elif state not in ROLLED_BACK:
            names = {"40P01": DEADLOCK, FROZEN: "a write that was refused"}
            what = names.get(state, f"error {state}")
            self.complain(what, f"{type(error).__name__}: {error}")

    def must_be_gone(self, error: Exception) -> None:
        """Complain unless the user was deleted meanwhile."""
        if self.board.is_alive(self.place):
            self.complain("a missing user", f"{self.place + 1} was not found: {error}")

    def complain(self, what: str, detail: str) -> None:
        """Leave a complaint for the report."""
        self.complaints.add(what, f"{type(self).__name__}: {detail}")

"""The clients of this release, and those who know the column alone: each appends its own way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.db import DatabaseError, connection, transaction

from prefs.ddl import sqlstate
from prefs.models import UserPreferences
from tests.chaos.checker import key, leaf
from tests.chaos.client import DROPPED, FROZEN, ROLLED_BACK, Client
from tests.chaos.ledger import Kind

# Whatever chance has it: a run in which everybody is gone would write nothing more.
_FEWEST = 500


class Merger(Client):
    """This release: merges in autocommit, a mapped leaf of its own among them."""

    slot = 0

    def write(self) -> None:
        place = self.some_user()
        token = self.intend(place)
        UserPreferences.objects.merge(place + 1, {**self.patch(token), **self._leaf(token)})
        self.acknowledge(place, token)

    def _leaf(self, token: int) -> dict[str, Any]:
        return {"items_per_page": leaf(self.slot, token)}


class SecondMerger(Merger):
    """Another of that kind, with another leaf."""

    slot = 1

    def _leaf(self, token: int) -> dict[str, Any]:
        return {"notifications": {"email": {"digest": leaf(self.slot, token)}}}


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
        preferences.pop("theme", None)
        if (theme := leaf(self.slot, token)) is not None:
            preferences["theme"] = theme
        user.save()
        self.acknowledge(place, token)

    def document(self, place: int) -> Any:
        return get_user_model().objects.values_list("preferences", flat=True).get(pk=place + 1)


class RawWriter(Client):
    """SQL by hand, on the column."""

    slot = 4
    refusals = (DROPPED, FROZEN)

    def write(self) -> None:
        if self.random.random() < 0.1:
            self._renumber(self.some_user())
        else:
            self.append(sorted({self.some_user() for _ in range(self.random.randint(1, 3))}))

    def append(self, places: Sequence[int]) -> None:
        """Append a token to the documents of these users, in one statement."""
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

    def _renumber(self, place: int) -> None:
        """Write a number that is equal to the one before, and not the same."""
        number = self.random.choice(("1", "1.0", "1.00"))
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE accounts_user SET preferences = jsonb_set(preferences, '{number}',"
                " %s::jsonb) WHERE id = %s",
                [number, place + 1],
            )


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
        try:
            get_user_model().objects.filter(pk=place + 1).delete()
        except DatabaseError as error:
            if sqlstate(error) in ROLLED_BACK:
                self.board.set_alive(place, alive=True)
            raise

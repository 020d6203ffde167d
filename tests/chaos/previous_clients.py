"""The clients of the release before: they know the column alone, and lock what they change."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from tests.chaos.checker import key
from tests.chaos.client import Client
from tests.chaos.previous.models import User


class PreviousSaver(Client):
    """The release before: locks the row, changes the attribute, saves the instance."""

    slot = 5

    def write(self) -> None:
        place = self.some_user()
        token = self.intend(place)
        with transaction.atomic():
            user = User.objects.select_for_update(no_key=True).get(pk=place + 1)
            self._append(user, token)
            user.save()
        self.acknowledge(place, token)

    def _append(self, user: User, token: int) -> None:
        document = user.preferences or {}
        document.setdefault(key(self.slot), {})[str(token)] = 1
        user.preferences = document

    def document(self, place: int) -> Any:
        return User.objects.values_list("preferences", flat=True).get(pk=place + 1)


class PreviousUpdater(PreviousSaver):
    """The release before: locks rows, and writes them by bulk_update or update."""

    slot = 6

    def write(self) -> None:
        places = sorted({self.some_user() for _ in range(self.random.randint(1, 3))})
        tokens = {place: self.intend(place) for place in places}
        with transaction.atomic():
            rows = User.objects.select_for_update(no_key=True).order_by("pk")
            users = list(rows.filter(pk__in=[place + 1 for place in places]))
            for user in users:
                self._append(user, tokens[user.pk - 1])
            if len(users) == 1:
                chosen = User.objects.filter(pk=users[0].pk)
                chosen.update(preferences=users[0].preferences)
            else:
                User.objects.bulk_update(users, ["preferences"])
        for user in users:
            self.acknowledge(user.pk - 1, tokens[user.pk - 1])

"""People who join, leave and get another key, in a process of its own, until its input ends.

`python -m tests.prefs.commands.coming_and_going SEED OF` prints one line of JSON: what it did. An
error of any statement ends it with a traceback.
"""

from __future__ import annotations

import contextlib
import json
import random
import select
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import django
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import F


class People:
    """What happens to people, each time to others.

    Every `workers`-th key is a process's own, so that no two of them deadlock with each other.
    """

    def __init__(self, seed: int, workers: int) -> None:
        self._seed, self._workers = seed, workers
        self._rng = random.Random(seed)
        self.done: Counter[str] = Counter()

    def happen(self) -> None:
        """One thing, counted by its name."""
        happenings: tuple[Callable[[], None], ...] = (
            self.delete_some,
            self.delete_one,
            self.change_keys,
            self.join,
            self.join_raw,
            self.write,
        )
        happening = self._rng.choice(happenings)
        happening()
        self.done[happening.__name__] += 1

    def _some(self, count: int) -> list[int]:
        own = users().annotate(rest=F("pk") % self._workers).filter(rest=self._seed)
        return sorted(own.order_by("?").values_list("pk", flat=True)[:count])

    def delete_some(self) -> None:
        users().filter(pk__in=self._some(20)).delete()

    def delete_one(self) -> None:
        for user in users().filter(pk__in=self._some(1)):
            user.delete()

    def change_keys(self) -> None:
        execute("UPDATE accounts_user SET id = id + 1000000 WHERE id = ANY(%s)", self._some(3))

    @transaction.atomic
    def join(self) -> None:
        from prefs.models import UserPreferences

        for _ in range(20):
            made = users().create(username=f"{self._seed} {self._rng.random()}")
            UserPreferences.objects.merge(made.pk, {"theme": "dark", "joined": True})

    def join_raw(self) -> None:
        execute(
            "INSERT INTO accounts_user (username, password, first_name, last_name, email,"
            " is_superuser, is_staff, is_active, date_joined)"
            " SELECT gen_random_uuid(), '', '', '', '', false, false, true, now()"
            " FROM generate_series(1, 5)"
        )

    def write(self) -> None:
        from prefs.models import UserPreferences

        for user in self._some(5):
            with contextlib.suppress(get_user_model().DoesNotExist):
                UserPreferences.objects.merge(user, {"written": self._rng.random()})


def users() -> Any:
    return get_user_model()._default_manager


def execute(statement: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)


if __name__ == "__main__":
    django.setup()
    people = People(int(sys.argv[1]), int(sys.argv[2]))
    while not select.select([sys.stdin], [], [], 0)[0]:
        people.happen()
    sys.stdout.write(json.dumps(people.done))

"""Users whose documents are written all the while, and what each must be read back as."""

from __future__ import annotations

import json
from typing import Any

from prefs.engine.states import State
from prefs.models import UserPreferences
from tests.support.steps import add_users, blob_texts, rows, state


class Ledger:
    """Writes by the manager and by raw SQL, each of a key never used before."""

    def __init__(self, count: int) -> None:
        documents = [{"theme": "dark", "items_per_page": 1 + n % 500} for n in range(count)]
        self.expected: dict[int, dict[str, Any]] = dict(
            zip(add_users(*documents), documents, strict=True)
        )
        self._writes = 0

    def write(self, user: int) -> None:
        """One merge of a residue and of a mapped leaf."""
        self._writes += 1
        patch = {f"merge {self._writes}": self._writes, "items_per_page": 1 + self._writes % 500}
        self.expected[user] = {**self.expected[user], **patch}
        UserPreferences.objects.merge(user, patch)

    def write_raw(self, user: int) -> None:
        """The same by other hands: to the blob, where that is written still."""
        self._writes += 1
        patch = {f"raw {self._writes}": self._writes, "compact_mode": True}
        self.expected[user] = {**self.expected[user], **patch}
        rows(
            "UPDATE accounts_user SET preferences = preferences || %s::jsonb WHERE id = %s",
            json.dumps(patch),
            user,
        )

    def write_all(self) -> None:
        """A write for a few users of every part of the table, and a user more."""
        here = state()
        users = list(self.expected)
        for number, user in enumerate(users[:: max(1, len(users) // 20)]):
            if number % 2 and not here.route.reads_tables | (here is State.DROPPED):
                self.write_raw(user)
            else:
                self.write(user)
        if here is not State.DROPPED:
            document = {"theme": "light", "joined in": str(here)}
            [user] = add_named(f"new {self._writes}", document)
            self.expected[user] = document

    def assert_nothing_is_lost(self) -> None:
        """Every document is what was written last; at the start of the way the blob is, too."""
        found = UserPreferences.objects.documents(list(self.expected))
        assert found == self.expected
        if state() is State.EXPANDED:
            blobs = [json.loads(text or "null") for text in blob_texts()]
            assert blobs == [self.expected[user] for user in sorted(self.expected)]


def add_named(name: str, document: dict[str, Any]) -> list[int]:
    """A user that raw SQL inserts with a blob."""
    return [
        key
        for (key,) in rows(
            "INSERT INTO accounts_user (password, is_superuser, username, first_name, last_name,"
            " email, is_staff, is_active, date_joined, preferences)"
            " VALUES ('', false, %s, '', '', '', false, true, now(), %s) RETURNING id",
            name,
            json.dumps(document),
        )
    ]

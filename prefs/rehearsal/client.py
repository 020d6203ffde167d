"""One client process: reads and writes through the managers all the time, until SIGTERM.

Started as `python -m prefs.rehearsal.client SPECIFICATION`; it leaves its record beside
the specification. It paces itself, so that what is measured is waiting and not the queue
of a machine that is too busy.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from prefs.rehearsal.record import Record, merge_patch


@dataclass(frozen=True, kw_only=True)
class Specification:
    """What a client is told."""

    client: int
    alias: str
    database: str
    rate: float
    owned: list[str]
    shared: list[str]
    cold: list[str]


class Client:
    """The requests of one process, and the record of what came back."""

    def __init__(self, specification: Specification) -> None:
        from prefs.models import NotificationPreferences, UserPreferences

        self.specification = specification
        self.record = Record(client=specification.client)
        self.rng = random.Random(specification.client)
        self.documents = UserPreferences.objects.db_manager(specification.alias)
        self.audiences = NotificationPreferences.objects.db_manager(specification.alias)
        self.stopping = False
        requests: tuple[tuple[Callable[[], None], int], ...] = (
            (self.read_cold, 25),
            (self.read_shared, 20),
            (self.read_owned, 15),
            (self.list_page, 4),
            (self.audience, 1),
            (self.merge_shared, 20),
            (self.merge_owned, 10),
            (self.replace_owned, 5),
        )
        self._requests, self._weights = zip(*requests, strict=True)

    def begin(self) -> None:
        """Read what is there before the first write."""
        for user in self.specification.owned:
            self._measured(self._read_owned, user)

    def run(self) -> None:
        """Make requests at the given rate until told to stop."""
        # A rehearsal that is killed takes its clients with it.
        parent = os.getppid()
        while not self.stopping and os.getppid() == parent:
            [request] = self.rng.choices(self._requests, self._weights)
            self._measured(request)
            time.sleep(self.rng.expovariate(self.specification.rate))

    def _measured(self, request: Callable[..., None], *users: str) -> None:
        began = time.monotonic()
        try:
            request(*users)
            done = True
        except Exception as error:  # noqa: BLE001 - counted as failed, and shown in the report
            done = False
            self.record.errors.append(f"{request.__name__}: {type(error).__name__}: {error}"[:500])
        self.record.requests.append((began, (time.monotonic() - began) * 1000, done))

    # --- reads ---

    def read_cold(self) -> None:
        self.documents.document_text(self.rng.choice(self.specification.cold))

    def read_shared(self) -> None:
        user = self.rng.choice(self.specification.shared)
        self.record.saw_counter(user, self.documents.document(user))

    def read_owned(self) -> None:
        self._read_owned(self.rng.choice(self.specification.owned))

    def _read_owned(self, user: str) -> None:
        self.record.saw_document(user, self.documents.document(user))

    def list_page(self) -> None:
        users = self.rng.sample(
            self.specification.shared, k=min(20, len(self.specification.shared))
        )
        for key, document in self.documents.documents(users).items():
            self.record.saw_counter(str(key), document)

    def audience(self) -> None:
        from prefs.mapping import TOPICS

        list(islice(self.audiences.audience(*self.rng.choice(list(TOPICS))), 100))

    # --- writes ---

    def merge_shared(self) -> None:
        user = self.rng.choice(self.specification.shared)
        allowed = self.record.counters.setdefault(user, [0])
        value = max(allowed) + 1
        allowed.append(value)
        self.documents.merge(user, {"rehearsal": {self.record.key: value}})
        self.record.counters[user] = [value]

    def merge_owned(self) -> None:
        from prefs.engine.seeding import sample
        from prefs.mapping import LEAVES

        leaf = self.rng.choice(LEAVES)
        patch: Any = sample(leaf, self.rng) if self.rng.random() < 0.9 else None
        for name in reversed(leaf.path):
            patch = {name: patch}
        self._write_owned(lambda old: merge_patch(old, patch), "merge", patch)

    def replace_owned(self) -> None:
        from prefs.engine.seeding import usual_document

        document = usual_document(self.rng)
        self._write_owned(lambda _: document, "replace", document)

    def _write_owned(self, change: Callable[[Any], Any], method: str, given: Any) -> None:
        user = self.rng.choice(self.specification.owned)
        if user not in self.record.documents:
            return
        allowed = self.record.documents[user]
        new = [change(old) for old in allowed]
        self.record.documents[user] = allowed + new
        getattr(self.documents, method)(user, given)
        self.record.documents[user] = new


def main(path: Path) -> None:
    """Run one client to its end, and leave its record."""
    import django

    django.setup()
    from prefs.rehearsal.scratch import register

    specification = Specification(**json.loads(path.read_text()))
    register(specification.alias, specification.database)
    client = Client(specification)

    def stop(number: int, frame: object) -> None:
        client.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    client.begin()
    path.with_suffix(".begun").touch()
    client.run()
    client.record.save(path.with_suffix(".record"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

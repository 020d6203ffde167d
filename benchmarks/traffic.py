"""Live traffic in a process of its own, at a rate that does not wait for answers.

Run as `python -m benchmarks.traffic RATE FILE` under the environment of a database, until SIGTERM.
FILE is there once requests are being made; at the end it has a line for each: for when it was
scheduled, by the system's clock, and how many milliseconds after that it was answered.
"""

from __future__ import annotations

import itertools
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

APPLICATION = "prefs live"
_THREADS = 8
_WEIGHTS = (78, 20, 1, 1)


class Traffic:
    """Requests over random users; the same mix whatever the machine does."""

    def __init__(self, rate: float) -> None:
        from benchmarks.plain.models import User

        self.stopping = threading.Event()
        self.lines: list[str] = []
        self.failures: list[BaseException] = []
        self._rng = random.Random(1)
        self._users = list(User.objects.values_list("pk", flat=True))
        self._came: list[Any] = []
        self._rate = rate
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._requests: tuple[Callable[[], None], ...] = (
            self._read,
            self._merge,
            self._arrive,
            self._leave,
        )
        self._began = time.time()

    def run(self) -> None:
        """Make requests until told to stop."""
        threads = [threading.Thread(target=self._work) for _ in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self) -> None:
        try:
            while not self.stopping.is_set():
                with self._lock:
                    due = self._began + next(self._numbers) / self._rate
                    [request] = self._rng.choices(self._requests, _WEIGHTS)
                time.sleep(max(0.0, due - time.time()))
                request()
                self.lines.append(f"{due} {(time.time() - due) * 1000}\n")
        except BaseException as error:  # noqa: BLE001 - told by the process when it ends
            self.failures.append(error)
            self.stopping.set()

    def _read(self) -> None:
        from prefs.models import UserPreferences

        UserPreferences.objects.document(self._rng.choice(self._users))

    def _merge(self) -> None:
        from prefs.engine.seeding import sample
        from prefs.mapping import LEAVES
        from prefs.models import UserPreferences

        leaf = self._rng.choice(LEAVES)
        patch: Any = sample(leaf, self._rng)
        for name in reversed(leaf.path):
            patch = {name: patch}
        UserPreferences.objects.merge(self._rng.choice(self._users), patch)

    def _arrive(self) -> None:
        from django.contrib.auth import get_user_model

        name = f"arrived {self._rng.random()}"
        self._came.append(get_user_model()._default_manager.create(username=name))

    def _leave(self) -> None:
        if self._came:
            self._came.pop().delete()


def main() -> int:
    """Make requests until SIGTERM, then write down how long each took.

    Returns:
        0 unless a request failed.
    """
    import django

    django.setup()
    rate, path = float(sys.argv[1]), Path(sys.argv[2])
    traffic = Traffic(rate)
    signal.signal(signal.SIGTERM, lambda *_: traffic.stopping.set())
    path.touch()
    traffic.run()
    path.write_text("".join(traffic.lines), encoding="utf-8")
    for failure in traffic.failures:
        sys.stderr.write(f"live traffic: {type(failure).__name__}: {failure}\n")
    return 1 if traffic.failures else 0


if __name__ == "__main__":
    sys.exit(main())

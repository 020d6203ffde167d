"""The time, and waiting: passed as an argument, so that a test can hold both."""

from __future__ import annotations

import time


class Clock:
    """Real time. Never used for evidence: that goes by the database's own clock."""

    def now(self) -> float:
        """Seconds since some fixed moment, never running backwards."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait so many seconds."""
        time.sleep(seconds)

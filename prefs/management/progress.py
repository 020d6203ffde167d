"""Progress on stderr: one live line on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from prefs.engine.batches import Progress
from prefs.engine.evidence import span
from prefs.models import Run

_WINDOW = 30.0
_LIVE, _PLAIN = 0.1, 5.0


class Window:
    """The rate over the last half minute of work; time in which work was held back is no work."""

    def __init__(self) -> None:
        self._active = 0.0
        self._last: float | None = None
        self._points: deque[tuple[float, int]] = deque()

    def add(self, now: float, users: int, *, held_back: bool) -> None:
        """How many users were done at `now`, in seconds; and whether work stood still before."""
        if self._last is not None and not held_back:
            self._active += now - self._last
        self._last = now
        if not held_back:
            self._points.append((self._active, users))
        while self._points and self._active - self._points[0][0] > _WINDOW:
            self._points.popleft()

    def rate(self) -> float | None:
        """Users a second; None while it is unknown."""
        if len(self._points) < 2:
            return None
        (began, first), (ended, last) = self._points[0], self._points[-1]
        return (last - first) / (ended - began) if ended > began and last > first else None


class ProgressLine:
    """Tells how far a run is."""

    def __init__(
        self, stderr: Any, verbosity: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._out = stderr
        self._live = bool(getattr(stderr, "isatty", lambda: False)())
        self._every = _LIVE if self._live else _PLAIN
        self._now = now
        self._told = now()
        self._phase, self._window = "", Window()
        self._quiet = verbosity == 0
        self._width = 0

    def __call__(self, progress: Progress) -> None:
        now = self._now()
        if progress.phase != self._phase:
            self._phase, self._window = progress.phase, Window()
        self._window.add(now, progress.users, held_back=progress.held_back)
        if self._quiet or now - self._told < self._every:
            return
        self._told = now
        text = text_of(progress, self._window.rate())
        if self._live:
            self._out.write(f"\r{text:<{self._width}}", ending="")
            self._width = len(text)
        else:
            self._out.write(text)

    def end(self) -> None:
        """Leave the live line standing and go on below it."""
        if self._live and not self._quiet:
            self._out.write("")


def text_of(progress: Progress, rate: float | None) -> str:
    """The line: rows, percent, rate, time left, batch, workers, and what it waits for."""
    share = min(1.0, progress.users / progress.total) if progress.total else 1.0
    left = progress.total - progress.users
    shown = "rate unknown" if rate is None else f"{rate:,.0f}/s"
    eta = "time left unknown" if rate is None or left <= 0 else f"{span(left / rate)} left"
    counted = "found" if progress.phase == Run.Phase.CORRECT else "differing"
    parts = [
        f"{progress.phase}: {progress.users:,} users",
        f"{share:.0%}",
        shown,
        eta,
        f"{progress.differing:,} {counted}",
        f"batch {progress.batch:,}",
    ]
    parts += [f"{progress.workers} workers"] if progress.workers > 1 else []
    parts += [progress.note] if progress.note else []
    return ", ".join(parts)

"""Throttle: background work waits while the database is busy, and says what for.

Each signal has two thresholds, so that work does not stop and start at every look: it waits from
the first on, until the second is reached again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from django.db import connections
from django.utils.module_loading import import_string

from prefs.conf import Settings
from prefs.sql import signals

_LOOK_EVERY = 0.5
_NAMES = {
    "throttle_replication_lag": "replicas are {:.0f} s behind",
    "throttle_waiting_sessions": "{:.0f} sessions wait for a lock of a batch",
    "throttle_active_sessions": "{:.0f} sessions are active",
    "throttle_oldest_transaction": "a transaction has been open for {:.0f} s",
}


class Throttle:
    """What to wait for, as the signals and the site's own callable say."""

    def __init__(self, alias: str, settings: Settings) -> None:
        self._alias = alias
        self._thresholds = {name: getattr(settings, name) for name in _NAMES}
        self._own: Callable[[str], str] | None = None
        if settings.throttle_callable:
            self._own = import_string(settings.throttle_callable)
        self._waiting: set[str] = set()

    def look(self) -> str:
        """Why to wait now, or nothing. One statement; locks nothing."""
        with connections[self._alias].cursor() as cursor:
            cursor.execute(signals.signals())
            values = dict(zip(_NAMES, cursor.fetchone(), strict=True))
        for name, value in values.items():
            self._weigh(name, float(value))
        reasons = [_NAMES[name].format(values[name]) for name in _NAMES if name in self._waiting]
        if self._own is not None and (own := self._own(self._alias)):
            reasons.append(own)
        return "; ".join(reasons)

    def _weigh(self, name: str, value: float) -> None:
        limits = self._thresholds[name]
        if not limits:
            return
        pause, resume = limits
        if value >= pause:
            self._waiting.add(name)
        elif value <= resume:
            self._waiting.discard(name)


class Watch:
    """A throttle for all workers of a process.

    Whoever asks first looks themselves, so that nobody's first batch goes before a look; from
    then on a thread looks, by a connection of its own. Where nobody asks there is none.
    """

    def __init__(self, alias: str, settings: Settings) -> None:
        self._throttle = Throttle(alias, settings)
        self._alias = alias
        self._why = ""
        self._error: Exception | None = None
        self._over = threading.Event()
        self._begun = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="throttle", daemon=True)

    def __call__(self) -> str:
        """Why to wait, as of the last look; raises what that look raised."""
        with self._begun:
            if self._thread.ident is None:
                self._look()
                self._thread.start()
        if self._error is not None:
            raise self._error
        return self._why

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _watch(self) -> None:
        try:
            while self._error is None and not self._over.wait(_LOOK_EVERY):
                self._look()
        finally:
            connections[self._alias].close()

    def _look(self) -> None:
        try:
            self._why = self._throttle.look()
        except Exception as error:  # noqa: BLE001 - raised again in the worker that asks
            self._error = error

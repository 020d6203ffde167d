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

from prefs.clock import Clock
from prefs.conf import Settings
from prefs.errors import PrefsError
from prefs.sql import signals
from prefs.sql.asking import one

_LOOK_EVERY = 0.5
# How long a worker waits for the first look before it says that it waits, and how long the end of
# a run waits for the last one.
_FIRST_LOOK = 0.2
# So long the answer of the look before counts while another is under way.
_STALE = 5.0
_LAST_LOOK = 1.0
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
        found = one(connections[self._alias], signals.signals())
        values = dict(zip(_NAMES, found, strict=True))
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


class ThrottleSilent(PrefsError):
    """A look at what to wait for that does not end."""


class Watch:
    """A throttle for all workers of a process.

    Nobody's first batch goes before a look; a thread looks, by a connection of its own, so that
    a look which does not end keeps nobody from stopping. It is waited for as for a busy database,
    and ends the run when it has taken `throttle_patience`. Where nobody asks there is none.
    """

    def __init__(
        self,
        alias: str,
        settings: Settings,
        clock: Clock | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._throttle = Throttle(alias, settings)
        self._alias = alias
        self._settings = settings
        self._clock = clock or Clock()
        self._notice = notice
        self._why = ""
        self._error: Exception | None = None
        self._looking_since: float | None = None
        self._looked = threading.Event()
        self._over = threading.Event()
        self._begun = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="throttle", daemon=True)

    def __call__(self) -> str:
        """Why to wait, as of the last look; raises what that look raised.

        Returns within a fraction of a second. Raises ThrottleSilent.
        """
        with self._begun:
            if self._thread.ident is None:
                self._looking_since = self._clock.now()
                self._thread.start()
        self._looked.wait(_FIRST_LOOK)
        if self._error is not None:
            raise self._error
        return self._silence() or self._why

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
            self._thread.join(_LAST_LOOK)
            if self._thread.is_alive():
                self._notice("A look at what to wait for has not ended, and was left to itself.")

    def _silence(self) -> str:
        """What to say while a look takes long. Raises ThrottleSilent when it has for too long."""
        since = self._looking_since
        seconds = 0.0 if since is None else self._clock.now() - since
        patience = self._settings.throttle_patience.total_seconds()
        if seconds > patience:
            own = self._settings.throttle_callable
            what = f"PREFS_THROTTLE_CALLABLE ({own})" if own else "the database"
            raise ThrottleSilent(
                f"No look at what to wait for has ended for {patience:.0f} s"
                f" (PREFS_THROTTLE_PATIENCE): see why {what} does not answer. Nothing is lost; run"
                " the same command again, and it resumes."
            )
        if self._looked.is_set() and seconds <= _STALE:
            return ""
        return f"a look at what to wait for has taken {seconds:.0f} s"

    def _watch(self) -> None:
        try:
            self._look()
            while self._error is None and not self._over.wait(_LOOK_EVERY):
                self._look()
        finally:
            connections[self._alias].close()

    def _look(self) -> None:
        self._looking_since = self._clock.now()
        try:
            self._why = self._throttle.look()
        except Exception as error:  # noqa: BLE001 - raised again in the worker that asks
            self._error = error
        self._looked.set()
        self._looking_since = None

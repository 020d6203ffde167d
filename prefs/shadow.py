"""Shadow reads in this process: an answer that is marked is compared, and what differs is told.

Nothing here fails a read, nor the transaction it is in. The comparison is one call on the reader's
connection, in the snapshot of one statement; what it finds goes to the primary by a thread with a
connection of its own, since a read may be in a READ ONLY transaction or at a replica.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any, NamedTuple

from django.apps import apps
from django.db import DatabaseError, InterfaceError, connections, router, transaction

from prefs import conf
from prefs.sql import shadow as sql

logger = logging.getLogger("prefs.shadow")

# A longer text takes a good part of the budget to compare.
_LONGEST = 1_000_000
# So many users of one call, and so many that wait to be told.
_MOST = 20
_WAITING = 100
_COUNT_EVERY = 10.0
_AGAIN, _TRIES = 0.2, 5


class Mismatch(NamedTuple):
    """A user whose stores differ: leaves, and the digests of blob and tables."""

    user: Any
    leaves: list[str]
    blob: str | None
    tables: str | None


def unmarked(text: str | None) -> tuple[str | None, bool]:
    """The text of an answer, and whether it is to be compared."""
    if text is None or text[:1] != " ":
        return text, False
    return text[1:] or None, is_short(text)


def is_short(text: str | None) -> bool:
    """Whether a text is short enough to be compared in time."""
    return text is None or len(text) <= _LONGEST


def compare(alias: str, keys: Iterable[Any]) -> None:
    """Compare both stores of some users as `alias` has them; tell the primary of those who differ.

    Takes no lock that a writer waits for, waits at most PREFS_SHADOW_BUDGET, and raises nothing.
    """
    chosen = list(keys)[:_MOST]
    if not chosen:
        return
    try:
        budget = round(conf.current().shadow_budget.total_seconds() * 1000)
        rows = _rows(alias, {"ids": chosen, "budget": budget})
    except (DatabaseError, InterfaceError) as error:
        logger.warning("a shadow read failed: %s", str(error).splitlines()[0])
        _teller.count(_primary(alias), failed=len(chosen))
        return
    found = [Mismatch(*row[:4]) for row in rows if row[4] is None]
    failures = [row[4] for row in rows if row[4] is not None]
    if failures:
        logger.info("a shadow read gave up: SQLSTATE %s", failures[0])
        _teller.count(_primary(alias), failed=len(chosen))
    else:
        _teller.count(_primary(alias), compared=len(chosen), differing=len(found))
    for each in found:
        logger.error("the stores of user %s differ at %s", each.user, ", ".join(each.leaves))
        _teller.tell(_primary(alias), each)


def _rows(alias: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What the comparison finds. In a transaction it has a savepoint, so it cannot break that."""
    connection = connections[alias]
    apart = transaction.atomic(using=alias) if connection.in_atomic_block else nullcontext()
    with apart, connection.cursor() as cursor:
        cursor.execute(sql.compare(), parameters)
        return list(cursor.fetchall())


def _primary(alias: str) -> str:
    """The alias by which what was found at `alias` is written."""
    if alias not in conf.current().replicas:
        return alias
    return router.db_for_write(apps.get_model("prefs", "Mismatch"))


class _Teller:
    """What waits to be written on a primary, and the thread that writes it."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin with nothing. In a process that was forked what waits is the other's."""
        self._lock = threading.Lock()
        self._waiting: OrderedDict[tuple[str, Any], Mismatch] = OrderedDict()
        self._counts: dict[str, Counter[str]] = {}
        self._counted = time.monotonic()
        self._thread: threading.Thread | None = None

    def tell(self, alias: str, found: Mismatch) -> None:
        """Have a mismatch written; one of the same user that still waits is the same."""
        with self._lock:
            if len(self._waiting) < _WAITING:
                self._waiting[alias, found.user] = found
        self._work()

    def count(self, alias: str, **counts: int) -> None:
        """Count reads; written every few seconds, and with each mismatch."""
        with self._lock:
            self._counts.setdefault(alias, Counter()).update(counts)
            due = time.monotonic() - self._counted >= _COUNT_EVERY
        if due:
            self._work()

    def settle(self) -> None:
        """Write what there is, and wait for that."""
        self._work()
        thread = self._thread
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="prefs shadow reads")
                try:
                    self._thread.start()
                except RuntimeError as error:
                    # No more threads, or the process is ending; what waits does so for the next.
                    self._thread = None
                    logger.warning("what shadow reads found waits: %s", error)

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            alias, found, counts = batch
            for again in range(_TRIES):
                try:
                    _write(alias, found, counts)
                except (DatabaseError, InterfaceError) as error:
                    why = str(error).splitlines()[0]
                    logger.warning("what shadow reads found was not written yet: %s", why)
                    time.sleep(_AGAIN * 2**again)
                else:
                    break

    def _next(self) -> tuple[str, list[Mismatch], Counter[str]] | None:
        """What is to be written next, on one primary; the thread ends where there is nothing."""
        with self._lock:
            alias = next((alias for alias, _ in self._waiting), next(iter(self._counts), None))
            if alias is None:
                self._thread = None
                return None
            keys = [key for key in self._waiting if key[0] == alias]
            self._counted = time.monotonic()
            counts = self._counts.pop(alias, Counter())
            return alias, [self._waiting.pop(key) for key in keys], counts


def _write(alias: str, found: list[Mismatch], counts: Counter[str]) -> None:
    """Write mismatches, each in a transaction of its own, and counts; by a new connection."""
    own = connections[alias].copy()
    # The pool may have no second one to give.
    own.settings_dict.get("OPTIONS", {}).pop("pool", None)
    try:
        with own.cursor() as cursor:
            for each in found:
                given = {**each._asdict(), "leaves": json.dumps(each.leaves)}
                cursor.execute(sql.note(), given)
            if counts:
                cursor.execute(sql.add_counts(), {**_NOTHING, **counts})
    finally:
        own.close()


_NOTHING = {"compared": 0, "differing": 0, "failed": 0}
_teller = _Teller()


def settle() -> None:
    """Write what this process has found and counted, and wait until it is written."""
    _teller.settle()


os.register_at_fork(after_in_child=_teller.begin)

"""Where the documents of users are loaded from, many at once.

Sources made in one thread one after the other are one batch, however their users were
fetched: a list, `select_related`, `prefetch_related`.
"""

from __future__ import annotations

import threading
from typing import Any
from weakref import ReferenceType, ref

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import transaction

from prefs import codec

CHUNK = 1_000


class Source:
    """Where the document of an instance is, and `texts`: its text, once it was loaded from there.

    The first of a batch that is asked for its text loads that of every other still in use.
    """

    __slots__ = ("__weakref__", "_batch", "_before", "_commit", "alias", "key", "texts")

    def __init__(self, alias: str, key: Any, *texts: str | None) -> None:
        self.alias, self.key = alias, key
        self.texts = texts
        self._batch: list[ReferenceType[Source]] = [ref(self)]
        self._before: Source | None = None
        self._commit: ReferenceType[Any] | None = None

    @classmethod
    def in_batch(cls, alias: str, key: Any) -> Source:
        """A source that is loaded together with its neighbours."""
        source = cls(alias, key)
        batch = _open.batches.setdefault(alias, [])
        if len(batch) >= CHUNK:
            # Those that are gone or loaded make room; a list is not cut in two for them.
            batch[:] = [each for each in batch if (other := each()) and not other.loaded]
        if len(batch) >= CHUNK:
            batch = _open.batches[alias] = []
        batch.append(ref(source))
        source._batch = batch
        return source

    @classmethod
    def saved(cls, alias: str, key: Any, text: str, before: Source | None) -> Source:
        """What an open transaction has stored; `before` is the source if it is rolled back."""
        source = cls(alias, key, text)

        def commit() -> None:
            source._before = source._commit = None

        # The connection alone keeps this function, and lets go of it when it rolls back.
        source._before, source._commit = before, ref(commit)
        transaction.on_commit(commit, using=alias)
        return source

    @property
    def standing(self) -> Source | None:
        """This source, or what it was before where its transaction was rolled back."""
        if self._commit is None or self._commit() is not None:
            return self
        return self._before.standing if self._before else None

    def __reduce__(self) -> tuple[Any, ...]:
        return Source, (self.alias, self.key, *self.texts)

    @property
    def loaded(self) -> bool:
        return bool(self.texts)

    @property
    def text(self) -> str | None:
        """The text; loads it, and those of the batch. Raises as `UserPreferences.objects`."""
        if not self.texts:
            peers = [peer for each in self._batch if (peer := each()) and not peer.loaded]
            try:
                self._load(peers)
            except codec.UnprintableDocument:
                self._load([self])
        return self.texts[0]

    def _load(self, peers: list[Source]) -> None:
        manager = apps.get_model("prefs", "UserPreferences")._default_manager
        texts = manager.db_manager(self.alias).texts({peer.key for peer in (*peers, self)})
        for peer in (*peers, self):
            if peer.key in texts:
                peer.texts = (texts[peer.key],)
        if not self.texts:
            raise get_user_model().DoesNotExist(f"There is no user with the key {self.key!r}.")


class _Open(threading.local):
    """The batch of each database that this thread is filling."""

    def __init__(self) -> None:
        self.batches: dict[str, list[ReferenceType[Source]]] = {}


_open = _Open()

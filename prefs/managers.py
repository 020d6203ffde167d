"""Documents in, documents out, by route.

Every write takes the user's row lock in a statement that also reads the two switches, and
reads and writes preferences in a later statement of the same transaction. Nothing about a
route is remembered from one transaction to the next.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import DataError, OperationalError, connections, models, router, transaction

from prefs import codec, conf, etags, json_text, owners, shadow
from prefs.bulk import Merge, columns
from prefs.errors import PrefsError
from prefs.mapping import NOTIFICATION_TABLE, RESIDUE_COLUMN, USER_TABLE, topic
from prefs.routing import Route
from prefs.rows import RowQuerySet
from prefs.sql import copying, writes
from prefs.sql import documents as sql
from prefs.sql.asking import one, rows
from prefs.sql.changes import change
from prefs.sql.merges import merge
from prefs.twins import streaming_twin, twin

# Refused by the JSON parser of PostgreSQL: too deep (54001), or too large (54000).
_TOO_COMPLEX = ("54000", "54001")
_AUDIENCE_PAGE = 10_000


class UnsupportedIsolation(PrefsError):
    """A write under an isolation level at which the protocol does not hold."""

    def __init__(self, level: str) -> None:
        super().__init__(
            f"Preferences are written at READ COMMITTED only; this transaction is at"
            f" {level.upper()}. Nothing was written. Remove the isolation level from the"
            " database's OPTIONS, the role and the database, or write in a transaction of its own."
        )


# Their writes are merges.
_RowManager = models.Manager.from_queryset(RowQuerySet)


class UserPreferencesManager(_RowManager[Any]):
    """The documents of users, the same in every route.

    A `user_id` is the user model's primary key. Every method raises the user model's
    DoesNotExist for an unknown user, unless it says otherwise, and MissingSwitch where a
    switch row is gone.
    """

    def get_queryset(self) -> Any:
        """Rows without their residue until it is asked for: Python may not be able to decode it."""
        return super().get_queryset().defer(RESIDUE_COLUMN)

    def document(self, user_id: Any) -> Any:
        """The document of one user, decoded; None for SQL NULL and for JSON null.

        Raises UndecodableDocument and UnprintableDocument; both name the user.
        """
        return codec.decode(user_id, self.document_text(user_id))

    def document_text(self, user_id: Any) -> str | None:
        """The JSON text of one user's document as PostgreSQL has it; None for SQL NULL."""
        texts = self._read(sql.read_one(), {"id": owners.key_of(user_id)})
        if not texts:
            raise owners.no_such_user(user_id)
        return next(iter(texts.values()))

    def documents(self, user_ids: Iterable[Any]) -> dict[Any, Any]:
        """The documents of many users, by id; an unknown id is left out."""
        return {key: codec.decode(key, text) for key, text in self.texts(user_ids).items()}

    def replace(self, user_id: Any, document: Any) -> Any:
        """Make `document` the document of a user; returns what is stored.

        Takes the user's row lock (FOR NO KEY UPDATE) until the transaction ends. Raises
        InvalidDocument with every offending leaf that differs from what is stored.
        """
        key = owners.key_of(user_id)
        text = codec.encode(key, document)
        stored = self._write(key, writes.REPLACE, text, codec.unknown_leaves(document))
        return codec.decode(key, stored)

    def replace_text(
        self, user_id: Any, text: str, if_match: Collection[str] | None = None
    ) -> str | None:
        """As `replace`, by JSON text, which is stored as it came; returns that of what is stored.

        With `if_match`, a list of ETags, only if that of the document under the lock is one of
        them. Raises PreconditionFailed, which names the current one, and InvalidDocument, too, for
        text that would not be stored as it is (see prefs.json_text).
        """
        key = owners.key_of(user_id)
        unknown = codec.unknown_leaves(json_text.structure(key, text))
        return self._write(key, writes.REPLACE, text, unknown, if_match)

    def merge(self, user_id: Any, patch: Any) -> Any:
        """Apply an RFC 7396 merge patch, at most 100 deep; returns what is stored.

        The patch is applied in SQL to the document under the user's row lock, so that
        concurrent merges of different leaves all survive. Locks and errors as `replace`.
        """
        key = owners.key_of(user_id)
        text = codec.encode(key, patch, max_depth=codec.MAX_PATCH_DEPTH)
        stored = self._write(key, writes.MERGE, text, codec.unknown_leaves(patch))
        return codec.decode(key, stored)

    def merge_text(
        self, user_id: Any, text: str, if_match: Collection[str] | None = None
    ) -> str | None:
        """As `merge`, by JSON text; returns that of what is stored. `if_match` as `replace_text`.

        Raises as `replace_text` does.
        """
        key = owners.key_of(user_id)
        patch = json_text.structure(key, text, codec.MAX_PATCH_DEPTH)
        return self._write(key, writes.MERGE, text, codec.unknown_leaves(patch), if_match)

    def printed(self, user_id: Any, text: str) -> str:
        """A JSON text as PostgreSQL prints what it stores for it. Raises InvalidDocument."""
        json_text.structure(user_id, text)
        with self._writing([user_id]) as cursor:
            cursor.execute(sql.as_printed(), {"input": text})
            return str(cursor.fetchone()[0])

    def change(self, changes: Mapping[Any, Any]) -> dict[Any, str | None]:
        """Apply a change (see prefs.sql.changes) to each of many users; their new texts by id.

        For code that wrote the column itself: values are not tested against their domains,
        and what fits no column is quarantined. Unknown ids are left out. Takes the users' row
        locks in key order until the transaction ends. Raises InvalidDocument.
        """
        known = {key: each for user_id, each in changes.items() for key in owners.keys([user_id])}
        return self.change_texts({key: codec.encode(key, each) for key, each in known.items()})

    def change_texts(
        self, changes: Mapping[Any, str], *, savepoint: bool = True
    ) -> dict[Any, str | None]:
        """The same for changes that are JSON text already.

        Without a savepoint an error breaks the caller's transaction, as an error in Django's own
        writes does.
        """
        known = {key: text for each, text in changes.items() for key in owners.keys([each])}
        keys, texts = list(known), [codec.sendable(key, text) for key, text in known.items()]
        with self._writing(keys, savepoint=savepoint) as cursor:
            locked = lock_users(cursor, keys, rows=False)
            if locked is None:
                return {}
            cursor.execute(change(locked[0]), {"users": keys, "changes": texts})
            return dict(cursor.fetchall())

    def merge_each(
        self, merges: Mapping[Any, Merge], table: str, among: models.QuerySet[Any] | None = None
    ) -> list[Any]:
        """Merge into the documents of many users, by key, in one statement.

        Returns the keys of those merged into. `among` are rows of which those are left alone that
        it no longer selects once their users are locked; without it a user who is not there is
        the user model's DoesNotExist. Takes the users' row locks in key order until the
        transaction ends, and raises as `merge` does, for the first user by key; then nothing was
        written.
        """
        max_bytes = conf.current().max_document_bytes
        with self._writing(list(merges)) as cursor:
            route, found = lock_users(cursor, list(merges)) or (None, [])
            if among is None:
                _refuse_missing(merges, found)
            else:
                found = list(among.filter(pk__in=found).values_list("pk", flat=True))
            if route is None or not found:
                return []
            parameters = columns({key: merges[key] for key in found})
            cursor.execute(merge(route, table), {**parameters, "max_bytes": max_bytes})
            answers = cursor.fetchall()
            for key, *answer in answers:
                _accepted(key, (None, *answer), max_bytes)
        return [key for key, *_ in answers]

    def texts(self, user_ids: Iterable[Any]) -> dict[Any, str | None]:
        """The JSON texts of many users' documents, by id; an unknown id is left out.

        One statement. Raises UnprintableDocument.
        """
        return self._read(sql.read(), {"ids": owners.keys(user_ids)})

    adocument = twin(document)
    adocument_text = twin(document_text)
    adocuments = twin(documents)
    areplace = twin(replace)
    areplace_text = twin(replace_text)
    amerge = twin(merge)
    amerge_text = twin(merge_text)
    achange = twin(change)
    atexts = twin(texts)

    def _read(self, statement: str, parameters: dict[str, Any]) -> dict[Any, str | None]:
        texts: dict[Any, str | None] = {}
        sampled = []
        for row in rows(connections[self.db], statement, parameters):
            key, dual_write, read_tables, text, is_sampled = row
            Route.of(dual_write, read_tables)
            if text == "":
                raise codec.UnprintableDocument(key)
            texts[key] = text
            if is_sampled and shadow.is_short(text):
                sampled.append(key)
        shadow.compare(self.db, sampled)
        return texts

    @contextmanager
    def _writing(self, keys: Sequence[Any], *, savepoint: bool = True) -> Iterator[Any]:
        """A cursor in a transaction that writes documents of these users.

        In a caller's it is a savepoint: an error leaves theirs usable. What PostgreSQL cannot
        store as jsonb becomes InvalidDocument.
        """
        alias = self._db or router.db_for_write(self.model)
        try:
            with (
                transaction.atomic(using=alias, savepoint=savepoint),
                connections[alias].cursor() as cursor,
            ):
                yield cursor
        except (DataError, OperationalError) as error:
            cause = error.__cause__
            state = getattr(cause, "sqlstate", None) or ""
            if isinstance(error, DataError) or state in _TOO_COMPLEX:
                whose = keys[0] if len(keys) == 1 else f"one of {len(keys)}"
                # Without the context: that is the whole statement that it was in.
                said = getattr(getattr(cause, "diag", None), "message_primary", None) or cause
                message = f"PostgreSQL cannot store it as jsonb ({said})"
                raise codec.InvalidDocument(whose, {"": message}) from error
            raise

    def _write(
        self,
        key: Any,
        incoming: str,
        text: str,
        unknown: list[str],
        if_match: Collection[str] | None = None,
    ) -> str | None:
        parameters = {
            "user": key,
            "input": text,
            "unknown": unknown,
            "max_bytes": conf.current().max_document_bytes,
        }
        with self._writing([key]) as cursor:
            route = _lock(cursor, key)
            if if_match is not None and etags.ANY not in if_match:
                _refuse_others(cursor, route, key, if_match)
            cursor.execute(writes.write(route, incoming), parameters)
            return _accepted(key, cursor.fetchone(), parameters["max_bytes"])


def lock_users(
    cursor: Any, keys: Sequence[Any], *, rows: bool = True
) -> tuple[Route, list[Any]] | None:
    """Lock the rows of users in key order: the route, and the keys of those there are.

    In `TABLES` and with `rows` their typed rows, too, which raw SQL may write without the users'
    locks. None where there is none of them. Raises UnsupportedIsolation and MissingSwitch.
    """
    cursor.execute(copying.lock_users(), {"ids": list(keys)})
    users = cursor.fetchall()
    if not users:
        return None
    route, found = _route(*users[0][1:]), [user[0] for user in users]
    if rows and route is Route.TABLES:
        _lock_rows(cursor, found)
    return route, found


def _lock_rows(cursor: Any, keys: Sequence[Any]) -> None:
    for table in (USER_TABLE, NOTIFICATION_TABLE):
        cursor.execute(writes.lock_rows(table), {"ids": list(keys)})


def _refuse_missing(keys: Iterable[Any], found: Iterable[Any]) -> None:
    there = set(found)
    for key in keys:
        if key not in there:
            raise owners.no_such_user(key)


def _route(dual_write: bool | None, read_tables: bool | None, isolation: str) -> Route:
    if isolation != "read committed":
        raise UnsupportedIsolation(isolation)
    return Route.of(dual_write, read_tables)


def _lock(cursor: Any, key: Any) -> Route:
    """Lock the user's row and return the route that this transaction must take."""
    cursor.execute(writes.lock(), {"user": key})
    row = cursor.fetchone()
    if row is None:
        raise owners.no_such_user(key)
    return _route(*row)


def _refuse_others(cursor: Any, route: Route, key: Any, if_match: Collection[str]) -> None:
    """Raise PreconditionFailed unless the document of the locked user has one of these ETags.

    That is the document in the store that the write goes by, whatever a canary reads, or the
    switches say by now. Where raw SQL may write typed rows without the user's lock, they are locked
    as well.
    """
    if route is Route.TABLES:
        _lock_rows(cursor, [key])
    cursor.execute(writes.stored_text(route), {"user": key})
    [(text,)] = cursor.fetchall()
    if text == "":
        raise codec.UnprintableDocument(key)
    etag = etags.etag_of(text)
    if not etags.matches(if_match, etag):
        raise etags.PreconditionFailed(key, etag)


def _accepted(user_id: Any, row: Any, max_bytes: int) -> str | None:
    """The stored text of the writing statement's answer, or the error that it amounts to."""
    text, refused, size, written = row
    if refused is not None:
        raise codec.refusals(user_id, refused)
    if not written:
        raise codec.DocumentTooLong(user_id, size, max_bytes)
    return None if text is None else str(text)


class NotificationPreferencesManager(_RowManager[Any]):
    """Who wants which message on which channel, the same in every route."""

    def audience(self, channel: str, name: str) -> Iterator[Any]:
        """The ids of the users who have the topic on, streaming, in key order.

        A flag that is true, or a digest other than `off`; "not set" is not in it. Each page
        is read by the route of that moment. Raises UnknownTopic, which lists the topics.
        """
        return self._pages(sql.audience(topic(channel, name)))

    aaudience = streaming_twin(audience)

    def _pages(self, statement: str) -> Iterator[Any]:
        after = None
        while True:
            parameters = {"after": after, "limit": _AUDIENCE_PAGE}
            dual_write, read_tables, keys = one(connections[self.db], statement, parameters)
            Route.of(dual_write, read_tables)
            yield from keys
            if len(keys) < _AUDIENCE_PAGE:
                return
            after = keys[-1]

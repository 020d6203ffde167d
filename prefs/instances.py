"""What an instance of the user model keeps of its document, and what saving it has to write.

The document stands in `__dict__` like any field. Beside it stands the text that it was when it
was loaded or saved, and of which key. What is saved is the difference to that text, so a stale
instance cannot overwrite leaves that others wrote. Without it the document is replaced.

What was loaded or saved in a transaction may never have been: once that has ended, it counts if
it is what is stored. Else what was known before that transaction counts.
"""

from __future__ import annotations

import json
import marshal
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from django.apps import apps
from django.db import DatabaseError, DataError, connections, models, transaction
from django.db.models.expressions import DatabaseDefault

from prefs import codec, conf
from prefs.difference import difference, same
from prefs.mapping import BLOB_COLUMN

NAME = BLOB_COLUMN
CHUNK = 1_000
# The text; the key; the open transaction in which it was loaded or saved, and the text before it.
TEXT = "_preferences_text"
KEY = "_preferences_key"
WITHIN = "_preferences_within"
EARLIER = "_preferences_earlier"
# A text as it was loaded, and the bytes of its value: they are made in a tenth of the time that
# a text takes. With its text, since the previous release knows nothing of it.
LOADED = "_preferences_loaded"
KNOWN = (TEXT, KEY, WITHIN, EARLIER, LOADED)
# A user's document where nothing was ever written: the database's default.
NOTHING = "{}"


class _Transaction:
    """The transaction that was open, or a savepoint of it: Django makes a new list when it ends.

    Nobody knows how that of a pickled instance ended, and other releases have no such class.
    """

    __slots__ = ("_hooks",)

    def __init__(self, hooks: Any) -> None:
        self._hooks = hooks

    def is_open(self, alias: str) -> bool:
        """Whether nothing of it was rolled back since."""
        return self._hooks is connections[alias].run_on_commit

    def __deepcopy__(self, _: Any) -> _Transaction:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return str, ()


class UnstorableDocument(codec.InvalidDocument, DataError):
    """A value that jsonb cannot hold, in code that knew a JSONField: it expects a DataError."""


class UnknownRows(DatabaseError):
    """Preferences of users whose rows are not there, or whose keys did not come back."""

    def __init__(self, keys: Iterable[Any]) -> None:
        listed = ", ".join(map(repr, keys))
        super().__init__(
            f"The preferences of the users {listed} were not saved: there are no such rows."
        )


def remember(instance: models.Model, text: str, key: Any, connection: Any) -> None:
    """Take `text` for what is stored for the user `key`, unless it is rolled back."""
    values = instance.__dict__
    if connection.autocommit:
        values.pop(WITHIN, None)
        values.pop(EARLIER, None)
    else:
        if values.get(KEY) != key or instance._state.db != connection.alias:
            # What is known is of another row.
            values.pop(EARLIER, None)
        elif WITHIN not in values:
            values[EARLIER] = values[TEXT]
        values[WITHIN] = _Transaction(connection.run_on_commit)
    values[TEXT], values[KEY] = text, key


def bytes_of(value: Any) -> bytes | None:
    """Bytes that no other value has, of another order or type; None for what no JSON is read as."""
    try:
        return marshal.dumps(value, 2)
    except ValueError:
        return None


def _loaded_text(instance: models.Model, value: Any) -> str | None:
    """The text of a value that is what was loaded, and is what is known to be stored; else None."""
    text, found = instance.__dict__.get(LOADED, (None, None))
    known = found is not None and text == instance.__dict__.get(TEXT)
    return text if known and found == bytes_of(value) else None


def forget(instance: models.Model) -> None:
    """Know nothing of what is stored: saving the instance replaces the document."""
    for name in KNOWN:
        instance.__dict__.pop(name, None)


def text_of(field: Any, value: Any) -> str:
    """The JSON text of a value. Raises what a JSONField raises."""
    return json.dumps(value, cls=field.encoder)


def replacing(value: Any, text: str) -> str:
    """The change that makes any document this value, whose text it is; None is SQL NULL."""
    return "[]" if value is None else f"[{text}]"


def key_name(field: Any) -> str:
    """The attribute that holds the owner's key, on the owner and on what is derived from it.

    Of a child of the user model (MTI) that may be another than its `pk`.
    """
    name: str = field.model._meta.pk.attname
    return name


def key_of(field: Any, instance: models.Model) -> Any:
    """The owner's key that an instance has."""
    return field.model._meta.pk.get_prep_value(getattr(instance, key_name(field)))


def change_of(field: Any, instance: models.Model, value: Any, key: Any, alias: str) -> str | None:
    """The change that saving `value` makes of the document of the user `key`; None for nothing.

    Locks the row where what the instance was loaded with may have been rolled back.
    """
    text = _loaded_text(instance, value) or text_of(field, value)
    before = _before(field, instance, key, alias)
    if before is None:
        return replacing(value, text_of(field, value))
    if before == text:
        return None
    change = difference(json.loads(before), json.loads(text))
    return None if change is None else json.dumps(change)


def _before(field: Any, instance: models.Model, key: Any, alias: str) -> str | None:
    """The text that the document of the user `key` was; None where that is not known."""
    values = instance.__dict__
    text: str | None = values.get(TEXT)
    loaded_from = instance._state.db
    if text is None or instance._state.adding or values[KEY] != key:
        return None
    if loaded_from != alias and loaded_from not in conf.current().replicas:
        return None
    within = values.get(WITHIN)
    if within is None or (isinstance(within, _Transaction) and within.is_open(alias)):
        return text
    return text if _is_stored(field, text, key, alias) else values.get(EARLIER)


def _is_stored(field: Any, text: str, key: Any, alias: str) -> bool:
    """Whether the document of a user is this one; locks the row."""
    with transaction.atomic(using=alias, savepoint=False):
        rows = field.model._base_manager.using(alias).filter(pk=key)
        if not rows.select_for_update(no_key=True).values_list("pk").first():
            return False
        stored = preferences(alias).document_text(key)
    try:
        return stored is not None and same(json.loads(stored), json.loads(text))
    except (RecursionError, ValueError):
        return False


def evaluated(rows: models.QuerySet[Any], key: str, expression: Any) -> dict[Any, str]:
    """The changes that set the document of each row to what the expression is for it, by key."""
    if isinstance(expression, DatabaseDefault):
        expression = expression.expression  # type: ignore[attr-defined]
    document = models.functions.Cast(expression, models.JSONField())
    text = models.functions.Cast(document, models.TextField())
    found = rows.annotate(_prefs_text=text).values_list(key, "_prefs_text")
    return {key: "[]" if text is None else f"[{text}]" for key, text in found}


def apply(changes: dict[Any, str], alias: str) -> None:
    """Apply changes to users, by key; UnknownRows where one is not there.

    Takes their row locks in key order, chunk by chunk, in the transaction that is open. Raises
    UnstorableDocument.
    """
    for keys in chunks(sorted(changes)):
        try:
            stored = preferences(alias).change_texts(
                {key: changes[key] for key in keys}, savepoint=False
            )
        except codec.InvalidDocument as error:
            raise UnstorableDocument(error.user_id, error.errors) from error
        if len(stored) < len(keys):
            raise UnknownRows(key for key in keys if key not in stored)


def chunks(keys: Iterable[Any]) -> Iterator[list[Any]]:
    """Keys, at most CHUNK at once."""
    rest = iter(keys)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def is_expression(value: Any) -> bool:
    """Whether the database has to say what the value is."""
    return hasattr(value, "resolve_expression")


def preferences(alias: str) -> Any:
    """The manager of documents, on this database."""
    return apps.get_model("prefs", "UserPreferences")._default_manager.db_manager(alias)

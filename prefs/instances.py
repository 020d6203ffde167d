"""What an instance of the user model keeps of its document, and what saving it has to write.

The value stands in the instance's `__dict__` under the field's name once it was read or
assigned. Beside it stands its source: where the document was loaded from, and the text that it
was then. What is saved is the difference to that text, so a stale instance cannot overwrite
leaves that others wrote. A value that was assigned without being read replaces the document.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, DatabaseError, models, transaction

from prefs import codec, conf
from prefs.difference import difference, replacement
from prefs.mapping import BLOB_COLUMN
from prefs.sources import CHUNK, Source

NAME = BLOB_COLUMN
_SOURCE = "_preferences_source"
Changes = dict[Any, tuple[models.Model, str]]


class UnknownRows(DatabaseError):
    """Preferences of users whose rows are not there, or whose keys did not come back."""

    def __init__(self, keys: Iterable[Any]) -> None:
        listed = ", ".join(map(repr, keys))
        super().__init__(
            f"The preferences of the users {listed} were not saved: there are no such rows."
        )


def _source(instance: models.Model) -> Source | None:
    source: Source | None = instance.__dict__.get(_SOURCE)
    return source.standing if source else None


def begin(instance: models.Model) -> None:
    """Have an instance that was just loaded, or loaded again, read its document when asked."""
    instance.__dict__.pop(NAME, None)
    alias = instance._state.db or DEFAULT_DB_ALIAS
    instance.__dict__[_SOURCE] = Source.in_batch(alias, instance.pk)


def read(instance: models.Model, field: Any) -> Any:
    """The document of an instance: loaded, or the field's default where it was never saved."""
    source = _source(instance)
    if source is None:
        if instance._state.adding:
            return field.get_default()
        source = Source(instance._state.db or DEFAULT_DB_ALIAS, _key(instance))
        instance.__dict__[_SOURCE] = source
    return codec.decode(source.key, source.text, field.decoder)


def assign(instance: models.Model, value: Any) -> None:
    """Set the value; one that takes the place of a document nobody read replaces it whole."""
    if NAME not in instance.__dict__:
        instance.__dict__.pop(_SOURCE, None)
    instance.__dict__[NAME] = value


def may_write(instance: models.Model, field: Any, alias: str, *, created: bool) -> bool:
    """Whether saving the instance can write its document; loads nothing."""
    return (
        NAME in instance.__dict__
        or _moved(instance, alias)
        # What a user without any preferences reads as need not be written.
        or (created and field.get_default() != {})
    )


def _moved(instance: models.Model, alias: str) -> bool:
    """Whether it goes to another row than it came from: a copy, with a new key or elsewhere."""
    source = _source(instance)
    if source is None:
        return False
    elsewhere = source.alias != alias and source.alias not in conf.current().replicas
    return bool(elsewhere or source.key != _key(instance))


def _key(instance: models.Model) -> Any:
    """The primary key as the database gives it, whatever code has set it to."""
    return instance._meta.pk.to_python(instance.pk)


def store(field: Any, instances: Iterable[models.Model], alias: str, *, created: bool) -> None:
    """Write what saving each of the instances has to.

    Takes the users' row locks in the order of the instances, chunk by chunk, in the caller's
    transaction or one of its own. Raises InvalidDocument, and UnknownRows where a row is gone.
    """
    chosen = [each for each in instances if may_write(each, field, alias, created=created)]
    if not chosen:
        return
    with transaction.atomic(using=alias, savepoint=False):
        changes = ((each, _change(field, each, alias, created=created)) for each in chosen)
        for chunk in _chunks(changes):
            apply({key: text for key, (_, text) in chunk.items()}, alias)
            for instance, _ in chunk.values():
                _settle(field, instance, alias)


def _change(field: Any, instance: models.Model, alias: str, *, created: bool) -> str | None:
    """The JSON text of what saving the instance changes; None where that is nothing."""
    if NAME not in instance.__dict__ and _moved(instance, alias):
        getattr(instance, field.name)
    value = instance.__dict__.get(NAME, field.get_default())
    if hasattr(value, "resolve_expression"):
        rows = field.model._base_manager.using(alias).filter(pk=instance.pk)
        list(rows.select_for_update(no_key=True).values_list("pk"))
        return next(iter(texts_of(rows, value).values()), None)
    source = _source(instance)
    if created or source is None or _moved(instance, alias):
        return json.dumps(replacement(value), cls=field.encoder)
    before = codec.decode(source.key, source.text, field.decoder)
    change = difference(_plain(field, before), _plain(field, value))
    return None if change is None else json.dumps(change)


def _plain(field: Any, value: Any) -> Any:
    """The value as a plain JSON decoder would read back what the field's encoder writes."""
    return json.loads(json.dumps(value, cls=field.encoder))


def texts_of(rows: models.QuerySet[Any], expression: Any) -> dict[Any, str]:
    """The changes that set the document of each row to what the expression is for it, by key."""
    document = models.functions.Cast(expression, models.JSONField())
    text = models.functions.Cast(document, models.TextField())
    found = rows.annotate(_prefs_text=text).values_list("pk", "_prefs_text")
    return {key: "[]" if text is None else f"[{text}]" for key, text in found}


def _chunks(changes: Iterable[tuple[models.Model, str | None]]) -> Iterator[Changes]:
    """What there is to change of at most CHUNK users at once, and none of them twice."""
    chunk: Changes = {}
    for instance, text in changes:
        if text is None:
            continue
        key = _key(instance)
        if len(chunk) == CHUNK or key in chunk:
            yield chunk
            chunk = {}
        chunk[key] = (instance, text)
    if chunk:
        yield chunk


def apply(changes: dict[Any, str], alias: str) -> None:
    """Apply changes to users; UnknownRows where one is not there."""
    manager = apps.get_model("prefs", "UserPreferences")._default_manager
    stored = manager.db_manager(alias).change_texts(changes)
    if len(stored) < len(changes):
        raise UnknownRows(key for key in changes if key not in stored)


def _settle(field: Any, instance: models.Model, alias: str) -> None:
    """Take what was saved for what the instance was loaded as, unless it is rolled back.

    After a rollback the instance is as changed as it was, and a second save writes it again.
    """
    if NAME not in instance.__dict__:
        return
    value = instance.__dict__[NAME]
    if hasattr(value, "resolve_expression"):
        begin(instance)
        return
    text = json.dumps(value, cls=field.encoder)
    saved = Source.saved(alias, _key(instance), text, _source(instance))
    instance.__dict__[_SOURCE] = saved

"""Querysets of users whose bulk writes store preferences by route."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from django.db import models, transaction
from django.db.models.query import ModelIterable, RawQuerySet

from prefs import instances
from prefs.difference import replacement
from prefs.fields import DocumentCol, preferences_field
from prefs.instances import NAME
from prefs.searches import PreferencesQuery
from prefs.sources import CHUNK

User = TypeVar("User", bound=models.Model)


class UnknownInsertions(ValueError):
    """Values for preferences, where nobody can tell whose row was inserted."""

    def __init__(self, option: str, remedy: str) -> None:
        super().__init__(
            f"bulk_create with {option} cannot store {NAME}: which of the rows were inserted is"
            f" not known afterwards. Nothing was written. {remedy}"
        )


class _Chunked(ModelIterable):  # type: ignore[type-arg]  # generic for mypy alone
    """Makes instances CHUNK at a time, so that `iterator()` loads as many documents at once."""

    def __iter__(self) -> Iterator[Any]:
        users = super().__iter__()
        while chunk := list(islice(users, CHUNK)):
            yield from chunk


class PreferencesQuerySet(models.QuerySet[User]):
    """What the default manager of the user model returns."""

    def __init__(
        self, model: Any = None, query: Any = None, using: str | None = None, hints: Any = None
    ) -> None:
        super().__init__(model, query or PreferencesQuery(model), using, hints)
        self._iterable_class = _Chunked

    def update(self, **values: Any) -> int:
        """Update the rows, and the document of each of them; how many there are.

        With a document: chunk by chunk in key order, under the users' row locks, in one
        transaction; an expression is evaluated under the lock.
        """
        if NAME not in values:
            return super().update(**values)
        if self.query.is_sliced:
            raise TypeError("Cannot update a query once a slice has been taken.")
        document = values.pop(NAME)
        self._for_write = True
        rows = 0
        with transaction.atomic(using=self.db):
            keys = dict.fromkeys(self.order_by("pk").values_list("pk", flat=True))
            for chunk in _chunks(keys):
                rows += self._update_some(self._locked(chunk), document, values)
        self._result_cache = None
        return rows

    update.alters_data = True  # type: ignore[attr-defined]

    def _update_some(self, keys: list[Any], document: Any, values: Mapping[str, Any]) -> int:
        users = self.filter(pk__in=keys)
        if hasattr(document, "resolve_expression"):
            changes = instances.texts_of(users, document)
        else:
            encoder = preferences_field(self.model).encoder
            changes = dict.fromkeys(keys, json.dumps(replacement(document), cls=encoder))
        # These may be made of documents as they were.
        if values:
            users.update(**values)
        instances.apply(changes, self.db)
        return len(keys)

    def _locked(self, keys: Sequence[Any]) -> list[Any]:
        """Lock the rows `keys`; those that the queryset still selects then, in key order."""
        rows = self.model._base_manager.using(self.db).filter(pk__in=keys).order_by("pk")
        list(rows.select_for_update(no_key=True).values_list("pk"))
        selected = self.filter(pk__in=keys).order_by("pk").values_list("pk", flat=True)
        return list(dict.fromkeys(selected))

    def bulk_create(
        self,
        objs: Iterable[User],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        update_fields: Collection[str] | None = None,
        unique_fields: Collection[str] | None = None,
    ) -> list[User]:
        """Insert the rows and store their documents, in one transaction.

        Raises UnknownInsertions where conflicts are ignored, or update other fields.
        """
        users = list(objs)
        if update_conflicts and NAME in (update_fields or ()):
            update_fields = _without_preferences(update_fields or (), unique_fields or ())
            for user in users:
                getattr(user, NAME)
        elif ignore_conflicts or update_conflicts:
            _refuse_documents(users, ignored=ignore_conflicts)
        self._for_write = True
        with transaction.atomic(using=self.db):
            created = super().bulk_create(
                users, batch_size, ignore_conflicts, update_conflicts, update_fields, unique_fields
            )
            if _has_preferences(self.model) and not ignore_conflicts:
                instances.store(preferences_field(self.model), users, self.db, created=True)
        return created

    bulk_create.alters_data = True  # type: ignore[attr-defined]

    def bulk_update(
        self, objs: Iterable[User], fields: Iterable[str], batch_size: int | None = None
    ) -> int:
        """Update the fields of rows, and what changed in their documents, in one transaction."""
        names = list(fields)
        if NAME not in names:
            return super().bulk_update(objs, names, batch_size)
        users = list(objs)
        if any(user.pk is None for user in users):
            raise ValueError("All bulk_update() objects must have a primary key set.")
        others = [name for name in names if name != NAME]
        self._for_write = True
        with transaction.atomic(using=self.db):
            keys = sorted({user.pk for user in users})
            locked = {key for chunk in _chunks(keys) for key in self._locked(chunk)}
            rows = super().bulk_update(users, others, batch_size) if others else len(locked)
            chosen = [user for user in users if user.pk in locked]
            instances.store(preferences_field(self.model), chosen, self.db, created=False)
        return rows

    bulk_update.alters_data = True  # type: ignore[attr-defined]

    def raw(
        self,
        raw_query: Any,
        params: Any = (),
        translations: dict[str, str] | None = None,
        using: str | None = None,
    ) -> RawQuerySet[User]:
        """Instances of an SQL query; the column, if it is selected, is not their document."""
        renamed = {NAME: f"{NAME}_column", **(translations or {})}
        return super().raw(raw_query, params, renamed, using)

    def _fetch_all(self) -> None:
        if (
            self._result_cache is None
            and self.query.select_for_update
            and _names_documents(self.query)
        ):
            # Once for the locks: after waiting for one PostgreSQL reads the locked row anew and
            # nothing else, so a document that comes with the lock could be an old one.
            for _ in self.iterator(CHUNK):
                pass
        super()._fetch_all()


def _chunks(keys: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(keys)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _has_preferences(model: type[models.Model]) -> bool:
    """Models as migrations know them do not."""
    return any(field.name == NAME for field in model._meta.private_fields)


def _without_preferences(
    update_fields: Collection[str], unique_fields: Collection[str]
) -> list[str]:
    """The other fields; where there are none, those that are equal in a conflict anyway."""
    return [name for name in update_fields if name != NAME] or list(unique_fields)


def _refuse_documents(users: list[Any], *, ignored: bool) -> None:
    if any(NAME in vars(user) for user in users):
        if ignored:
            raise UnknownInsertions("ignore_conflicts", "Create the users one by one.")
        remedy = f"Name {NAME} in update_fields, too, or create the users one by one."
        raise UnknownInsertions("update_conflicts", remedy)


def _names_documents(query: Any) -> bool:
    parts = (*query.select, *query.annotation_select.values(), *query.where.leaves())
    return any(
        isinstance(node, DocumentCol)
        for part in parts
        if hasattr(part, "flatten")
        for node in part.flatten()
    )

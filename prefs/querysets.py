"""Querysets of users whose bulk writes store preferences by route."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from django.db import models, transaction
from django.db.models.query import RawQuerySet
from django.db.models.sql import Query

from prefs import instances
from prefs.bulk_documents import BulkDocuments
from prefs.conditions import names_document
from prefs.fields import PreferencesField, document_field
from prefs.instances import CHUNK, NAME, chunks, key_name, key_of
from prefs.searches import PreferencesQuery

User = TypeVar("User", bound=models.Model)
_COLUMN = f"{NAME}_column"


class UnknownInsertions(ValueError):
    """Values for preferences, where nobody can tell whose row was inserted."""

    def __init__(self, *, ignored: bool) -> None:
        option = "ignore_conflicts" if ignored else "update_conflicts"
        named = "" if ignored else f"name {NAME} in update_fields, too, or "
        remedy = f"{named}create the users one by one."
        super().__init__(
            f"bulk_create with {option} cannot store {NAME}: which of the rows were inserted is"
            f" not known afterwards. Nothing was written. {remedy[0].upper()}{remedy[1:]}"
        )


class PreferencesQuerySet(models.QuerySet[User]):
    """What the managers of the user model return; elsewhere it is Django's."""

    def __init__(
        self, model: Any = None, query: Any = None, using: str | None = None, hints: Any = None
    ) -> None:
        super().__init__(model, query or PreferencesQuery(model), using, hints)

    def _take_query(self, query: Any) -> None:
        # One that was pickled is Django's.
        ours = query.chain(PreferencesQuery) if type(query) is Query else query
        models.QuerySet.query.fset(self, ours)  # type: ignore[attr-defined]

    # Read through Django's own getter: that is done a dozen times for each query.
    query = models.QuerySet.query.setter(_take_query)  # type: ignore[attr-defined]

    def update(self, **values: Any) -> int:
        """Update the rows, and the document of each of them; how many there are.

        With a document, or by one: chunk by chunk in key order, under the users' row locks, in one
        transaction; an expression is evaluated under the lock.
        """
        field = document_field(self.model)
        if field is None or not (NAME in values or self._updates_by_documents(values)):
            return super().update(**values)
        # Of QuerySet.update.
        self._not_support_combined_queries("update")  # type: ignore[attr-defined]
        if self.query.is_sliced:
            raise TypeError("Cannot update a query once a slice has been taken.")
        if NAME in values and not instances.is_expression(values[NAME]):
            instances.text_of(field, values[NAME])
        self._for_write = True
        rows = 0
        with transaction.atomic(using=self.db, savepoint=False):
            for keys in self._locked_keys(field):
                rows += self._update_some(field, keys, dict(values))
        self._result_cache = None
        return rows

    def _updates_by_documents(self, values: Mapping[str, Any]) -> bool:
        """Whether rows are chosen, or other fields made, by documents.

        After waiting for a lock PostgreSQL looks at the locked row anew and at nothing else.
        """
        made = [
            value.resolve_expression(self.query.chain(), allow_joins=True)
            for value in values.values()
            if instances.is_expression(value)
        ]
        return _names_documents(self.query) or any(map(names_document, made))

    def _update_some(self, field: PreferencesField, keys: list[Any], values: dict[str, Any]) -> int:
        """Update users that are locked."""
        users, changes = self._of(field, keys), {}
        if NAME in values:
            document = values.pop(NAME)
            if instances.is_expression(document):
                changes = instances.evaluated(users, key_name(field), document)
            else:
                text = instances.text_of(field, document)
                changes = dict.fromkeys(keys, instances.replacing(document, text))
        # These may be made of documents as they were.
        if values:
            super(PreferencesQuerySet, users).update(**values)
        instances.apply(changes, self.db)
        return len(keys)

    def _of(self, field: PreferencesField, keys: Sequence[Any]) -> Any:
        """Those of the queryset with these keys of the owner."""
        return self.filter(**{f"{key_name(field)}__in": keys})

    def _locked_keys(self, field: PreferencesField) -> Iterator[list[Any]]:
        """The keys of the rows selected, CHUNK at a time, in key order, each row locked."""
        key = key_name(field)
        if not _may_lock(self.query):
            for keys in chunks(dict.fromkeys(self.order_by(key).values_list(key, flat=True))):
                yield self._lock(field, keys)
            return
        page = self.order_by(key).select_for_update(no_key=True).values_list(key, flat=True)
        keys = list(page[:CHUNK])
        while keys:
            yield keys
            if len(keys) < CHUNK:
                return
            keys = list(page.filter(**{f"{key}__gt": keys[-1]})[:CHUNK])

    def _lock(self, field: PreferencesField, keys: Sequence[Any]) -> list[Any]:
        """Lock the rows `keys`; those that the queryset still selects then, in key order."""
        key, selected = key_name(field), self._of(field, keys)
        selected = selected.order_by(key).values_list(key, flat=True)
        if _may_lock(self.query):
            return list(selected.select_for_update(no_key=True))
        rows = field.model._base_manager.using(self.db).filter(pk__in=keys).order_by("pk")
        list(rows.select_for_update(no_key=True).values_list("pk"))
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

        Raises UnknownInsertions where conflicts are ignored, or update other fields, and an
        instance has a document other than the database's default.
        """
        field, users = document_field(self.model), list(objs)
        options = (batch_size, ignore_conflicts, update_conflicts, update_fields, unique_fields)
        if field is None:
            return super().bulk_create(users, *options)
        documents = BulkDocuments(field, users, new=True)
        replacing = update_conflicts and NAME in (update_fields or ())
        if replacing:
            # Where no other field is updated, those are that are equal in a conflict anyway.
            others = [name for name in update_fields or () if name != NAME]
            options = (batch_size, False, True, others or unique_fields, unique_fields)
        elif (ignore_conflicts or update_conflicts) and not documents.are_default:
            raise UnknownInsertions(ignored=ignore_conflicts)
        self._for_write = True
        with transaction.atomic(using=self.db, savepoint=False):
            created = super().bulk_create(users, *options)
            if not ignore_conflicts:
                documents.store_new(self.db, replacing=replacing)
        if not ignore_conflicts:
            documents.remember(self.db)
        return created

    def bulk_update(
        self, objs: Iterable[User], fields: Iterable[str], batch_size: int | None = None
    ) -> int:
        """Update the fields of rows, and what changed in their documents, in one transaction."""
        names, field = list(fields), document_field(self.model)
        if NAME not in names or field is None:
            return super().bulk_update(objs, names, batch_size)
        users = list(objs)
        if any(user.pk is None for user in users):
            raise ValueError("All bulk_update() objects must have a primary key set.")
        others = [name for name in names if name != NAME]
        keys = [key_of(field, user) for user in users]
        self._for_write = True
        with transaction.atomic(using=self.db, savepoint=False):
            locked = {key for some in chunks(sorted(set(keys))) for key in self._lock(field, some)}
            chosen = [user for user, key in zip(users, keys, strict=True) if key in locked]
            documents = BulkDocuments(field, chosen, new=False)
            rows = super().bulk_update(users, others, batch_size) if others else len(locked)
            documents.store_changed(self.db)
        documents.remember(self.db)
        return rows

    def _raw_delete(self, using: str | None) -> Any:
        """Delete the rows at once; where they are chosen by documents, under their locks."""
        field = document_field(self.model)
        if field is None or not _names_documents(self.query):
            return super()._raw_delete(using)
        rows, chosen = 0, self.using(using)
        with transaction.atomic(using=using, savepoint=False):
            for keys in chosen._locked_keys(field):  # noqa: SLF001  # a copy of itself
                found: Any = chosen.model._base_manager.using(using).filter(pk__in=keys)
                rows += found._raw_delete(using) or 0  # noqa: SLF001  # names none any more
        return rows

    def _insert(self, objs: Any, fields: Any, *args: Any, **options: Any) -> Any:
        """Insert rows without our field: the column may be gone, and has its default."""
        others = [each for each in fields if not isinstance(each, PreferencesField)]
        return super()._insert(objs, others, *args, **options)  # type: ignore[misc]

    _insert.queryset_only = False  # type: ignore[attr-defined]

    def raw(
        self,
        raw_query: Any,
        params: Any = (),
        translations: dict[str, str] | None = None,
        using: str | None = None,
    ) -> RawQuerySet[User]:
        """Instances of an SQL query; the column, if it is selected, is not their document."""
        if document_field(self.model) is None:
            return super().raw(raw_query, params, translations or {}, using)
        renamed = {NAME: _COLUMN, **(translations or {})}
        if using is None:
            using = self.db
        rows: Any = _RawUsers(
            raw_query, model=self.model, params=params, translations=renamed, using=using
        )
        rows._prefetch_related_lookups = vars(self)["_prefetch_related_lookups"][:]
        found: RawQuerySet[User] = rows
        return found

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


class _RawUsers(RawQuerySet):  # type: ignore[type-arg]  # generic for mypy alone
    """Users of an SQL query; where it selects the column, or all others, with their documents."""

    def iterator(self) -> Any:
        """The users, whose documents are loaded CHUNK at once."""
        for users in chunks(super().iterator()):
            if self._selects_documents():
                self._load(users)
            yield from users

    def _selects_documents(self) -> bool:
        # A `SELECT *` has every other column once ours is dropped.
        found, model = set(self.columns), self.model
        assert model is not None
        others = {field.column for field in model._meta.concrete_fields if field.name != NAME}
        return _COLUMN in found or others <= found

    def _load(self, users: list[Any]) -> None:
        model: Any = self.model
        lacking = {user.pk: user for user in users if NAME not in vars(user)}
        rows = model._base_manager.using(self.db).only(NAME).filter(pk__in=lacking)
        for row in rows:
            for name in (NAME, *instances.KNOWN):
                if name in vars(row):
                    vars(lacking[row.pk])[name] = vars(row)[name]


def _may_lock(query: Any) -> bool:
    """Whether the rows can be locked as they are selected, and are then those selected."""
    tables = [each for each in query.alias_map if query.alias_refcount[each]]
    return (
        len(tables) <= 1
        and not query.distinct
        and query.group_by is None
        and not _names_documents(query)
    )


def _names_documents(query: Any) -> bool:
    """Whether documents are named but for loading instances, which read them under the lock."""
    named = (*query.select, *query.annotation_select.values(), *query.where.leaves())
    return any(map(names_document, named))

"""The ORM on the typed tables, by the same path as every other write.

Saving a row is a merge of the leaves that changed since it was loaded. So it goes to the
stores of the route, under the user's row lock, and a stale instance cannot overwrite what
others wrote to other leaves. Reading rows shows the tables as they are, which in the blob
routes is as new as the last copy or mirrored write.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Self, TypeVar

from django.db import DEFAULT_DB_ALIAS, models, router, transaction

from prefs import codec
from prefs.bulk import CHUNK, Conflict, Merge, chunks
from prefs.instances import preferences
from prefs.mapping import Leaf
from prefs.owners import key_of
from prefs.patches import chosen_leaves, patch_of

_NEVER_LOADED = object()
Row = TypeVar("Row", bound="TypedRow")


class RowsStay(TypeError):
    """Typed rows are not deleted by themselves: they are half of a user's document."""

    def __init__(self) -> None:
        super().__init__(
            "A row of typed preferences goes with its user and not by itself. To clear a"
            " document, call UserPreferences.objects.replace(user_id, {})."
        )


class NotARow(TypeError):
    """A way of writing rows that reads a row first and takes it for the stored document."""

    def __init__(self, method: str) -> None:
        super().__init__(
            f"{method} works on the typed row alone: it may be missing or old, and locking it"
            " before the user deadlocks with other writes. Use UserPreferences.objects.merge,"
            " which locks the user and reads what is stored."
        )


class RowQuerySet(models.QuerySet[Row]):
    """A queryset whose writes are merges, in key order, chunk by chunk in one transaction."""

    def update(self, **values: Any) -> int:
        """Set leaves of every row; returns how many rows there are.

        A row counts that is still selected once its user is locked. Two reads, a lock and a
        write for each 1,000 of them.
        """
        if self.query.is_sliced:
            raise TypeError("Cannot update a query once a slice has been taken.")
        if self.query.distinct_fields:
            raise TypeError("Cannot call update() after .distinct(*fields).")
        patch = patch_of(chosen_leaves(self.model, values), values)
        if not patch:
            return self.count()
        self._for_write = True
        rows, after = 0, None
        with transaction.atomic(using=self.db):
            while keys := self._page(after):
                merge = Merge.of(keys[0], patch, patch)
                rows += len(self._merge(dict.fromkeys(keys, merge), among=self))
                after = keys[-1]
        self._result_cache = None
        return rows

    def _page(self, after: Any) -> list[Any]:
        rest = self if after is None else self.filter(pk__gt=after)
        found = rest.order_by("pk").values_list("pk", flat=True)[:CHUNK]
        return list(dict.fromkeys(found))

    def _merge(
        self, merges: Mapping[Any, Merge], among: models.QuerySet[Any] | None = None
    ) -> set[Any]:
        table = self.model._meta.db_table
        return set(preferences(self.db).merge_each(merges, table, among))

    def bulk_create(
        self,
        objs: Iterable[Row],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        update_fields: Collection[str] | None = None,
        unique_fields: Collection[str] | None = None,
    ) -> list[Row]:
        """Merge the leaves that are set in rows.

        The row of a user is in conflict where they have that typed row, or any document but `{}`:
        with `ignore_conflicts` their document is left alone, with `update_conflicts` the fields
        `update_fields` are merged and no other. Raises ValueError for options that Django refuses.
        """
        rows = list(objs)
        conflict = Conflict.of(
            self.model, ignore_conflicts, update_conflicts, update_fields, unique_fields
        )
        self._for_write = True
        self._save(rows, None, batch_size, conflict)
        return rows

    def bulk_update(
        self, objs: Iterable[Row], fields: Iterable[str], batch_size: int | None = None
    ) -> int:
        """Merge those fields of rows; returns how many rows were given."""
        rows, names = list(objs), list(fields)
        if not names:
            raise ValueError("Field names must be given to bulk_update().")
        if any(row.pk is None for row in rows):
            raise ValueError("All bulk_update() objects must have a primary key set.")
        chosen_leaves(self.model, names)
        self._for_write = True
        self._save(rows, names, batch_size, Conflict())
        return len(rows)

    def _save(
        self,
        rows: Iterable[Row],
        update_fields: Sequence[str] | None,
        batch_size: int | None,
        conflict: Conflict,
    ) -> None:
        if batch_size is not None and batch_size <= 0:
            raise ValueError("Batch size must be a positive integer.")
        size = min(batch_size or CHUNK, CHUNK)
        ordered = sorted(((key_of(row.pk), row) for row in rows), key=itemgetter(0))
        with transaction.atomic(using=self.db):
            for chunk in chunks(ordered, size):
                self._save_some(chunk, update_fields, conflict)

    def _save_some(
        self, rows: Mapping[Any, Row], update_fields: Sequence[str] | None, conflict: Conflict
    ) -> None:
        leaves = {key: row.leaves_to_save(update_fields) for key, row in rows.items()}
        merges = {
            key: merge
            for key, row in rows.items()
            if (merge := conflict.merge(key, row, leaves[key]))
        }
        written = self._merge(merges) if merges else set()
        for key, row in rows.items():
            if key in written or key not in merges:
                row.is_saved(self.db, leaves[key])

    def get_or_create(self, *args: Any, **options: Any) -> tuple[Row, bool]:
        """Refused: NotARow."""
        raise NotARow("get_or_create")

    def update_or_create(self, *args: Any, **options: Any) -> tuple[Row, bool]:
        """Refused: NotARow."""
        raise NotARow("update_or_create")

    def select_for_update(self, *args: Any, **options: Any) -> Self:
        """Refused: NotARow."""
        raise NotARow("select_for_update")

    def delete(self) -> tuple[int, dict[str, int]]:
        """Refused: RowsStay."""
        raise RowsStay

    delete.queryset_only = True  # type: ignore[attr-defined]


class TypedRow(models.Model):
    """A row of a typed table: what was loaded is kept, to save the difference."""

    class Meta:
        abstract = True

    def save(  # type: ignore[override]
        self,
        *,
        using: str | None = None,
        update_fields: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        """Merge the leaves that changed (of `update_fields`) into the user's document.

        Raises as UserPreferences.objects.merge does, NotALeaf and NotAValue.
        """
        alias = using or router.db_for_write(type(self), instance=self) or DEFAULT_DB_ALIAS
        leaves = self.leaves_to_save(update_fields)
        patch = patch_of(leaves, vars(self))
        if patch:
            preferences(alias).merge_text(self.pk, codec.encode(self.pk, patch))
        self.is_saved(alias, leaves)

    def leaves_to_save(self, update_fields: Iterable[str] | None = None) -> list[Leaf]:
        """The leaves that saving the row merges.

        Those of `update_fields` that the row has (what is deferred nobody has set), or those that
        changed. Raises NotALeaf, also where something else was changed.
        """
        if update_fields is not None:
            chosen = chosen_leaves(type(self), update_fields)
            return [leaf for leaf in chosen if leaf.column in self.__dict__]
        fields = [field.name for field in self._meta.concrete_fields if not field.primary_key]
        return chosen_leaves(type(self), filter(self._changed, fields))

    def is_saved(self, alias: str, leaves: Iterable[Leaf]) -> None:
        """Take what was saved for what was loaded."""
        if self._state.adding:
            # What a new row does not set is NULL, and may be set and saved later.
            self._loaded = {field.name: None for field in self._meta.concrete_fields}
        self._state.adding, self._state.db = False, alias
        self._remember([leaf.column for leaf in leaves])

    def delete(self, *args: Any, **options: Any) -> tuple[int, dict[str, int]]:
        """Refused: RowsStay."""
        raise RowsStay

    @classmethod
    def from_db(
        cls,
        db: str | None,
        field_names: Collection[str],
        values: Collection[Any],
        **options: Any,
    ) -> Self:
        """Load a row, and keep what its leaves were."""
        row = super().from_db(db, field_names, values, **options)
        row._remember()  # noqa: SLF001
        return row

    def refresh_from_db(
        self,
        using: str | None = None,
        fields: Iterable[str] | None = None,
        from_queryset: Any = None,
    ) -> None:
        """Load the row, or some fields of it, again, and keep what those are."""
        chosen = None if fields is None else list(fields)
        super().refresh_from_db(using=using, fields=chosen, from_queryset=from_queryset)
        self._remember(chosen)

    def _remember(self, names: Iterable[str] | None = None) -> None:
        """Keep what the fields `names` are now; others may hold changes that are not saved."""
        fields = [field.name for field in self._meta.concrete_fields if not field.primary_key]
        chosen = fields if names is None else [name for name in names if name in fields]
        loaded = self.__dict__.get("_loaded", {})
        here = {name: self.__dict__[name] for name in chosen if name in self.__dict__}
        self._loaded = {**loaded, **here}

    def _changed(self, name: str) -> bool:
        """Whether a field was set to something else than was loaded; a new row has NULLs."""
        loaded: dict[str, Any] = self.__dict__.get("_loaded", {})
        if name not in self.__dict__:
            return False
        before = loaded.get(name, None if self._state.adding else _NEVER_LOADED)
        return bool(self.__dict__[name] != before)

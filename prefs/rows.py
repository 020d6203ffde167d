"""The ORM on the typed tables, by the same path as every other write.

Saving a row is a merge of the leaves that changed since it was loaded. So it goes to the
stores of the route, under the user's row lock, and a stale instance cannot overwrite what
others wrote to other leaves. Reading rows shows the tables as they are, which in the blob
routes is as new as the last copy or mirrored write.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Self, TypeVar

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, models, router, transaction

from prefs.mapping import Leaf, leaves_of

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


class NotALeaf(ValueError):
    """A field of a typed row that no leaf of a document stands for."""

    def __init__(self, names: Iterable[str], known: Iterable[str]) -> None:
        super().__init__(
            f"{', '.join(sorted(names))} cannot be set on a typed row; expected of"
            f" {', '.join(known)}. Use UserPreferences.objects.merge for anything else."
        )


class RowQuerySet(models.QuerySet[Row]):
    """A queryset whose writes are merges, one for each user, in key order."""

    def update(self, **values: Any) -> int:
        """Set leaves of every row, in one transaction; returns how many rows there are."""
        with transaction.atomic(using=self.db):
            rows = list(self.order_by("pk"))
            for row in rows:
                for name, value in values.items():
                    setattr(row, name, value)
                row.save(using=self.db, update_fields=list(values))
        return len(rows)

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable[Row], *args: Any, **options: Any) -> list[Row]:
        """Save rows in key order, in one transaction."""
        rows = list(objs)
        with transaction.atomic(using=self.db):
            for row in sorted(rows, key=lambda row: row.pk):
                row.save(using=self.db)
        return rows

    def bulk_update(
        self, objs: Iterable[Row], fields: Iterable[str], batch_size: int | None = None
    ) -> int:
        """Save those fields of rows in key order, in one transaction."""
        rows = sorted(objs, key=lambda row: row.pk)
        with transaction.atomic(using=self.db):
            for row in rows:
                row.save(using=self.db, update_fields=list(fields))
        return len(rows)

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

    delete.alters_data = True  # type: ignore[attr-defined]
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

        Raises as UserPreferences.objects.merge does, and NotALeaf.
        """
        alias = using or router.db_for_write(type(self), instance=self) or DEFAULT_DB_ALIAS
        leaves = self._chosen(update_fields)
        if update_fields is None:
            self._refuse_other_changes()
            leaves = [leaf for leaf in leaves if self._changed(leaf.column)]
        patch = self._patch(leaves)
        if patch:
            manager = apps.get_model("prefs", "UserPreferences")._default_manager
            manager.db_manager(alias).merge_text(self.pk, patch)
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

    def _chosen(self, update_fields: Sequence[str] | None) -> list[Leaf]:
        leaves = {leaf.column: leaf for leaf in leaves_of(self._meta.db_table)}
        unknown = set(update_fields or ()) - leaves.keys()
        if unknown:
            raise NotALeaf(unknown, leaves)
        return [leaves[name] for name in (leaves if update_fields is None else update_fields)]

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

    def _refuse_other_changes(self) -> None:
        columns = [leaf.column for leaf in leaves_of(self._meta.db_table)]
        others = [
            f.name
            for f in self._meta.concrete_fields
            if f.name not in columns and not f.primary_key
        ]
        wrong = [name for name in others if name in self.__dict__ and self._changed(name)]
        if wrong:
            raise NotALeaf(wrong, columns)

    def _patch(self, leaves: Iterable[Leaf]) -> dict[str, Any]:
        patch: dict[str, Any] = {}
        for leaf in leaves:
            node = patch
            for name in leaf.path[:-1]:
                node = node.setdefault(name, {})
            node[leaf.name] = _json_value(self.__dict__.get(leaf.column))
        return patch


def _json_value(value: Any) -> Any:
    """The value as a document has it; seconds are kept, so that they are refused by name."""
    if isinstance(value, dt.time):
        return (
            value.strftime("%H:%M") if (value.second, value.microsecond) == (0, 0) else str(value)
        )
    return value

"""What the site's user model is made of while its preferences are migrated.

It derives from HasPreferences, too, and declares
`preferences = PreferencesField(default=dict, blank=True, null=True)`. The querysets of its
default manager are PreferencesQuerySets. The system check prefs.E002 says what is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Self

from django.db import models, router, transaction

from prefs import instances
from prefs.fields import CLEANED, preferences_field
from prefs.instances import NAME


class HasPreferences(models.Model):
    """A user model with a PreferencesField: loads documents in batches, saves what changed."""

    class Meta:
        abstract = True

    # Whether the save that is running writes preferences.
    _saves_preferences = False

    def save(
        self,
        *,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
        **options: Any,
    ) -> None:
        """Save the row and what changed in the document, in one transaction.

        Raises InvalidDocument for what jsonb cannot hold; then nothing was saved.
        """
        alias = using or router.db_for_write(type(self), instance=self)
        chosen = None if update_fields is None else frozenset(update_fields)
        named = chosen is None or NAME in chosen
        field, created = preferences_field(type(self)), self._state.adding
        writes = named and instances.may_write(self, field, alias, created=created)
        context = transaction.atomic(using=alias) if writes else nullcontext()
        with context, self._saving(named=named):
            if chosen == frozenset({NAME}):
                # Model.save refuses the name, and without it would save nothing.
                self.save_base(using=alias, update_fields=chosen, **options)
            else:
                others = None if chosen is None else chosen - {NAME}
                super().save(using=using, update_fields=others, **options)

    save.alters_data = True  # type: ignore[attr-defined]

    def save_base(
        self,
        raw: bool = False,
        force_insert: bool | tuple[models.base.ModelBase, ...] = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
    ) -> None:
        """Save, naming preferences in the signals where they are saved too."""
        if update_fields is not None and self._saves_preferences:
            update_fields = frozenset((*update_fields, NAME))
        super().save_base(raw, force_insert, force_update, using, update_fields)

    save_base.alters_data = True  # type: ignore[attr-defined]

    @contextmanager
    def _saving(self, *, named: bool) -> Iterator[None]:
        # A receiver may save the instance again meanwhile.
        before, self._saves_preferences = self._saves_preferences, named
        try:
            yield
        finally:
            self._saves_preferences = before

    @classmethod
    def from_db(
        cls,
        db: str | None,
        field_names: Collection[str],
        values: Collection[Any],
        **options: Any,
    ) -> Self:
        """Load a row; its document is loaded with those of its neighbours, once one is read."""
        user = super().from_db(db, field_names, values, **options)
        instances.begin(user)
        return user

    def refresh_from_db(
        self,
        using: str | None = None,
        fields: Iterable[str] | None = None,
        from_queryset: Any = None,
    ) -> None:
        """Load the row, or some fields of it, again; the document when it is next read."""
        chosen = None if fields is None else list(fields)
        super().refresh_from_db(using=using, fields=chosen, from_queryset=from_queryset)
        if chosen is None or NAME in chosen:
            instances.begin(self)

    def full_clean(self, *args: Any, **options: Any) -> None:
        """Validate; a form does so once it has given the instance its data."""
        self.__dict__[CLEANED] = True
        super().full_clean(*args, **options)


# A user model that says nothing of its Meta takes that of its other base.
del HasPreferences.Meta

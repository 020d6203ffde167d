"""What the site's user model is made of while its preferences are migrated.

It derives from HasPreferences, too, and declares
`preferences = PreferencesField(default=dict, blank=True, null=True)`, as it declared the
JSONField. Django's INSERT and UPDATE leave the field out; its document is stored beside them, in
one transaction with the row, before `post_save`. The system check prefs.E002 says what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any, Self

from django.db import DEFAULT_DB_ALIAS, connections, models, transaction
from django.db.models.base import DEFERRED
from django.db.models.signals import class_prepared

from prefs import codec, instances, shadow
from prefs.fields import UNREADABLE, Loaded, PreferencesField, document_field
from prefs.instances import NAME
from prefs.owner_managers import upgrade


class HasPreferences(models.Model):
    """A user model with a PreferencesField: saves what changed in the document."""

    class Meta:
        abstract = True

    @classmethod
    def from_db(
        cls, db: str | None, field_names: Collection[str], values: Collection[Any], **options: Any
    ) -> Self:
        """Load a row, and remember what its document was before any code has changed it."""
        row = list(values)
        place = None
        for at, value in enumerate(row):
            if type(value) is Loaded:
                place = at
        if place is None:
            return super().from_db(db, field_names, row, **options)
        loaded = row[place]
        if loaded is not UNREADABLE:
            row[place] = loaded.value
        elif len(row) == len(cls._meta.concrete_fields):
            row[place] = DEFERRED
        else:
            # Django takes shorter rows for those of fewer fields.
            del row[place]
            field_names = [name for name in field_names if name != NAME]
        # Before an `__init__` of the site's can change it.
        found = instances.bytes_of(loaded.value)
        user = super().from_db(db, field_names, row, **options)
        # A child's link to its parent may be deferred; then saving replaces the document.
        key = user.__dict__.get(loaded.key)
        if loaded.text is not None and key is not None:
            instances.remember(user, loaded.text, key, loaded.connection)
            user.__dict__[instances.LOADED] = loaded.text, found
        if loaded.is_sampled and key is not None:
            shadow.compare(loaded.connection.alias, [key])
        return user

    def refresh_from_db(
        self,
        using: str | None = None,
        fields: Iterable[str] | None = None,
        from_queryset: Any = None,
    ) -> None:
        """Load the row, or some fields of it, again.

        A document that cannot be read is an error here, which says why.
        """
        chosen = None if fields is None else list(fields)
        field, values = document_field(type(self)), self.__dict__
        before = values.get(NAME, DEFERRED)
        if field is None or not (before is not DEFERRED if chosen is None else NAME in chosen):
            super().refresh_from_db(using=using, fields=chosen, from_queryset=from_queryset)
            return
        if before is not DEFERRED:
            values[NAME] = UNREADABLE
        try:
            super().refresh_from_db(using=using, fields=chosen, from_queryset=from_queryset)
            if values.get(NAME, UNREADABLE) is UNREADABLE:
                values[NAME] = self._document_of_its_own(field)
        except BaseException:
            values.pop(NAME, None)
            if before is not DEFERRED:
                values[NAME] = before
            raise
        try:
            text = instances.text_of(field, values[NAME])
        except (RecursionError, TypeError, ValueError):
            # Saving it will say so.
            instances.forget(self)
        else:
            key = instances.key_of(field, self)
            connection = connections[self._state.db or DEFAULT_DB_ALIAS]
            instances.remember(self, text, key, connection)

    def _document_of_its_own(self, field: PreferencesField) -> Any:
        """The document, read alone; the error that says why it cannot be."""
        manager = instances.preferences(self._state.db or DEFAULT_DB_ALIAS)
        key = instances.key_of(field, self)
        return codec.decode(key, manager.document_text(key), field.decoder)

    def _do_update(  # type: ignore[override]  # before 6.0 it returns no fields
        self,
        base_qs: Any,
        using: str,
        pk_val: Any,
        values: list[Any],
        update_fields: Any,
        forced_update: Any,
        *returning: Any,
    ) -> Any:
        """Update the row and the document, in one transaction; as Django's what it returns.

        `returning` is Django's from 6.0 on: a list of fields, which the caller goes on to use.
        """
        ours = [each for each in values if isinstance(each[0], PreferencesField)]
        if not ours:
            return super()._do_update(
                base_qs, using, pk_val, values, update_fields, forced_update, *returning
            )
        field, _, value = ours[0]
        others = [each for each in values if each is not ours[0]]
        rest = (update_fields, forced_update, *returning)
        returned = bool(returning) and _without(field, returning[0])
        key = field.model._meta.pk.get_prep_value(pk_val)
        updated: Any
        if instances.is_expression(value):
            row = (base_qs, using, pk_val, others, *rest)
            updated, change = self._update_to(field, value, row)
            if updated:
                self._settle(field, change, returned=returned)
            return updated
        change = instances.change_of(field, self, value, key, using)
        if change is None and others:
            updated = super()._do_update(base_qs, using, pk_val, others, *rest)
        else:
            updated = self._update_both(change, key, (base_qs, using, pk_val, others, *rest))
        if updated and (change is not None or instances.WITHIN in self.__dict__):
            instances.remember(self, instances.text_of(field, value), key, connections[using])
        return updated

    def _update_both(self, change: str | None, key: Any, row: tuple[Any, ...]) -> Any:
        """Update the row, if anything of it is saved, and the document, if that changes.

        `row` are the arguments of Django's method, without our field.
        """
        base_qs, using, pk_val, others, *rest = row
        # What Django's returns, before 6.0 and since.
        nothing, something = (False, True) if len(rest) == 2 else ([], [()])
        updated: Any = something
        with transaction.atomic(using=using, savepoint=False):
            if others:
                updated = super()._do_update(*row)
            elif change is None:
                # As an UPDATE of it would, this locks the row and says whether it is there.
                found = base_qs.filter(pk=pk_val).select_for_update(no_key=True)
                return something if found.values_list("pk").first() else nothing
            if updated and change is not None:
                try:
                    instances.apply({key: change}, using)
                except instances.UnknownRows:
                    return nothing
            return updated

    def _update_to(
        self, field: PreferencesField, value: Any, row: tuple[Any, ...]
    ) -> tuple[Any, str | None]:
        """Update the document to an expression, made of the row as it is under its lock.

        What Django's method returns, and the change that it was.
        """
        base_qs, using, pk_val, *_ = row
        key = instances.key_name(field)
        with transaction.atomic(using=using, savepoint=False):
            rows = base_qs.filter(pk=pk_val)
            list(rows.select_for_update(no_key=True).values_list("pk"))
            changes = instances.evaluated(rows, key, value)
            change = next(iter(changes.values()), None)
            return self._update_both(change, next(iter(changes), pk_val), row), change

    def _settle(self, field: PreferencesField, change: str | None, *, returned: bool) -> None:
        """After an expression was stored: Django has its value from 6.0 on, as `returned` says."""
        instances.forget(self)
        if returned and change is not None:
            [*value] = json.loads(change, cls=field.decoder)
            self.__dict__[NAME] = value[0] if value else None

    def _do_insert(
        self, manager: Any, using: str, fields: Any, returning_fields: Any, raw: bool
    ) -> Any:
        """Insert the row, and store the document that it has from the start, in one transaction."""
        field = next((each for each in fields if isinstance(each, PreferencesField)), None)
        if field is None:
            return super()._do_insert(manager, using, fields, returning_fields, raw)  # type: ignore[misc]
        value = getattr(self, NAME) if raw else field.pre_save(self, True)
        text = None if instances.is_expression(value) else instances.text_of(field, value)
        others = [each for each in fields if each is not field]
        changes: dict[Any, str] = {}
        returned = _without(field, returning_fields)
        with transaction.atomic(using=using, savepoint=False):
            results = super()._do_insert(manager, using, others, returning_fields, raw)  # type: ignore[misc]
            key = self._inserted_key(field, results, returning_fields)
            if text is None:
                rows = field.model._base_manager.using(using).filter(pk=key)
                changes = instances.evaluated(rows, "pk", value)
                instances.apply(changes, using)
            elif text != instances.NOTHING:
                instances.apply({key: instances.replacing(value, text)}, using)
        if text is None:
            self._settle(field, next(iter(changes.values()), None), returned=returned)
        else:
            instances.remember(self, text, key, connections[using])
        return results

    def _inserted_key(self, field: Any, results: Any, returning_fields: Any) -> Any:
        pk = field.model._meta.pk
        if results and pk in returning_fields:
            return results[0][list(returning_fields).index(pk)]
        return instances.key_of(field, self)


# A user model that says nothing of its Meta takes that of its other base.
del HasPreferences.Meta


def _prepare(sender: Any, **_: Any) -> None:
    if issubclass(sender, HasPreferences):
        upgrade(sender)


class_prepared.connect(_prepare)


def _without(field: Any, fields: Any) -> bool:
    """Take our field out of a list that Django goes on to use; whether it was in it."""
    if fields and field in fields:
        fields.remove(field)
        return True
    return False

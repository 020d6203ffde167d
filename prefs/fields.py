"""`user.preferences` for code that was written when it was a JSONField with a column.

The field is private and has no column: Django's INSERT and UPDATE leave it out, and a query
that names it gets the document by route, picked in its own statement. `prefs.instances` loads
it and says what to save.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import models
from django.db.models.expressions import Col
from django.db.models.signals import post_save

from prefs import instances
from prefs.lookups import DocumentColumn
from prefs.sql.documents import document_of

# Marks an instance that was validated: a form has made it of its data.
CLEANED = "_preferences_cleaned"


class DocumentCol(DocumentColumn):
    """The document by route, in the place of a column.

    Its type is a plain JSONField, so that it goes with any other JSON in one expression.
    """

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        """A scalar subquery, correlated by the primary key of the row."""
        key, _ = Col(self.alias, self.target.model._meta.pk).as_sql(compiler, connection)
        return document_of(key), ()

    def get_db_converters(self, connection: Any) -> list[Any]:
        """Those of its type, once."""
        converters: list[Any] = self.output_field.get_db_converters(connection)
        return converters


class PreferencesAttribute:
    """Reads the document of an instance when it is first asked for."""

    def __init__(self, field: PreferencesField) -> None:
        self.field = field

    def __get__(self, instance: models.Model | None, owner: type[models.Model]) -> Any:
        if instance is None:
            return self
        values = instance.__dict__
        if self.field.name not in values:
            values[self.field.name] = instances.read(instance, self.field)
        return values[self.field.name]

    def __set__(self, instance: models.Model, value: Any) -> None:
        instances.assign(instance, value)


class PreferencesField(models.JSONField):
    """The attribute `preferences` of the user model; takes what the JSONField took.

    A value is stored as the JSONField stored it: it is not tested against the domains, and what
    fits no column is quarantined.
    """

    def get_attname_column(self) -> tuple[str, None]:
        """No column, so nothing that Django writes by itself."""
        return self.get_attname(), None

    def contribute_to_class(
        self,
        cls: type[models.Model],
        name: str,
        private_only: bool = True,
    ) -> None:
        """Become a private field of the model, and be told when it was saved."""
        super().contribute_to_class(cls, name, private_only=True)
        setattr(cls, name, PreferencesAttribute(self))
        if not cls._meta.abstract:
            post_save.connect(self._store, sender=cls)

    def _store(
        self,
        instance: models.Model,
        *,
        created: bool,
        using: str,
        update_fields: frozenset[str] | None,
        **_: Any,
    ) -> None:
        if update_fields is None or self.name in update_fields:
            instances.store(self, [instance], using, created=created)

    def get_col(self, alias: str, output_field: Any = None) -> DocumentCol:
        """What stands for the field in a query."""
        if output_field is None or output_field == self:
            output_field = models.JSONField(null=True, encoder=self.encoder, decoder=self.decoder)
        return DocumentCol(alias, self, output_field)

    def formfield(self, **options: Any) -> Any:
        """A form field that tells the form's instance when it is cleaned."""
        return super().formfield(**{"form_class": PreferencesFormField, **options})

    def save_form_data(self, instance: models.Model, data: Any) -> None:
        """Assign what a form has, when it makes the instance of its data.

        Of private fields Django's forms do so again after saving, even of those that were not
        in the request; by then the instance is cleaned, and keeps what it has.
        """
        if not instance.__dict__.pop(CLEANED, False):
            super().save_form_data(instance, data)


class PreferencesFormField(forms.JSONField):
    """A JSONField that knows its form."""

    form: forms.BaseForm | None = None

    def get_bound_field(self, form: forms.BaseForm, field_name: str) -> forms.BoundField:
        """Bind to a form; form fields are copied for each."""
        self.form = form
        return super().get_bound_field(form, field_name)

    def clean(self, value: Any) -> Any:
        """Validate; the form is about to make its instance anew."""
        vars(getattr(self.form, "instance", self)).pop(CLEANED, None)
        return super().clean(value)


def preferences_field(model: type[models.Model]) -> PreferencesField:
    """The PreferencesField of a model."""
    field = model._meta.get_field(instances.NAME)
    assert isinstance(field, PreferencesField)
    return field

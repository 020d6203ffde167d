"""`user.preferences` as a field like any other, whose column is an expression.

For Django it is a concrete JSONField: it is loaded with its row, stands in `__dict__`, and is
deconstructed as the JSONField that it takes the place of. A query that names it gets the
document by route, picked in its own statement. What writes it is in `prefs.users` and
`prefs.querysets`; a manager that they do not know writes the column itself, which the capture
trigger mirrors, or refuses.

No operation of Django's migrations may make, alter or drop the column: the field has no type.
"""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.forms.fields import InvalidJSONInput
from django.utils.functional import cached_property

from prefs import codec, shadow
from prefs.lookups import DocumentColumn, key_of
from prefs.sql.documents import (
    document_of,
    document_text_of,
    locked_text_of,
    text_of_few,
)

# A statement for so few rows calls a function, which is planned once a session: what Django's
# get() asks for, and a little more.
FEW = 21


class Loaded:
    """A document on its way into an instance, and the text that it was; see `HasPreferences`.

    By which connection it came, and the attribute of the owner's key. One that cannot be read is
    UNREADABLE, and deferred: so one user's document keeps nobody from loading, and no user from
    logging in.
    """

    __slots__ = ("connection", "is_sampled", "key", "text", "value")

    def __init__(
        self,
        value: Any = None,
        text: str | None = None,
        connection: Any = None,
        key: str = "",
        *,
        is_sampled: bool = False,
    ) -> None:
        self.value, self.text, self.connection, self.key = value, text, connection, key
        self.is_sampled = is_sampled


UNREADABLE = Loaded()


class DocumentCol(DocumentColumn):
    """The document by route, in the place of a column.

    Its type is a plain JSONField, so that it goes with any other JSON in one expression.
    """

    # Whether it is selected for an instance: as text, and leniently.
    _loads = False
    # The SQL of the user's key.
    _key = ""

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        """A scalar subquery, correlated by the primary key of the row."""
        self._key, _ = key_of(self).as_sql(compiler, connection)
        return document_of(self._key), ()

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        """How it is selected. Django asks this of what stands in a select list, after its SQL."""
        query = compiler.query
        self._loads = query.default_cols and all(
            each is not self for each in query.annotations.values()
        )
        key = self._key
        if not self._loads:
            # What is grouped, or told apart, is so by the document of the primary.
            if query.group_by is not None or query.distinct:
                return sql, params
            return document_of(key, by_canary=True), ()
        if self._is_locked(query):
            found = locked_text_of(
                key,
                no_key=query.select_for_no_key_update,
                nowait=query.select_for_update_nowait,
                skip_locked=query.select_for_update_skip_locked,
            )
        elif query.high_mark is not None and query.high_mark - query.low_mark <= FEW:
            found = text_of_few(key)
        else:
            found = document_text_of(key)
        return found, ()

    def get_db_converters(self, connection: Any) -> list[Any]:
        """Those of its type, once; for an instance one that gives what cannot be read a sign."""
        if self._loads:
            return [self._decoded]
        converters: list[Any] = self.output_field.get_db_converters(connection)
        return converters

    def _is_locked(self, query: Any) -> bool:
        """Whether the statement locks the row: what it then reads beside the lock may be old."""
        if not query.select_for_update:
            return False
        own = query.model is not None and issubclass(query.model, self.target.model)
        return not query.select_for_update_of or (own and "self" in query.select_for_update_of)

    def _decoded(self, value: Any, expression: Any, connection: Any) -> Loaded:
        if value == "":
            return UNREADABLE
        field: Any = self.target
        value, is_sampled = shadow.unmarked(value)
        try:
            found = field.from_db_value(value, self, connection)
        except (RecursionError, ValueError):
            return UNREADABLE
        text, key = field.text_loaded(found, value), field.model._meta.pk.attname
        return Loaded(found, text, connection, key, is_sampled=is_sampled)


class PreferencesField(models.JSONField):
    """The attribute `preferences` of the user model; takes what the JSONField took.

    A value is stored as the JSONField stored it: it is not tested against the domains, and what
    fits no column is quarantined. On any other model it is a JSONField with a column of its own.
    """

    def contribute_to_class(
        self, cls: type[models.Model], name: str, private_only: bool = False
    ) -> None:
        """Become a field of the model: a plain one, unless its documents are those we store."""
        if not cls._meta.abstract and not is_owner(cls):
            # A copy for a history, another child of the abstract base it is declared in.
            self.__class__ = models.JSONField  # type: ignore[assignment]
        models.JSONField.contribute_to_class(self, cls, name, private_only)

    def deconstruct(self) -> Any:
        """As the JSONField that stood here: migrations see no change."""
        name, _, arguments, options = super().deconstruct()
        return name, "django.db.models.JSONField", arguments, options

    def db_type(self, connection: Any) -> str | None:
        """None, so that no operation of Django's touches the column."""
        return None

    def cast_db_type(self, connection: Any) -> str:
        """What an expression of this type is."""
        return "jsonb"

    def text_loaded(self, value: Any, text: str | None) -> str | None:
        """The text that saving a value, loaded of this text, is compared with.

        A site's own encoder may write what it loads in another way; None where it cannot.
        """
        if self.encoder is None and self.decoder is None:
            return "null" if text is None else text
        try:
            return json.dumps(value, cls=self.encoder)
        except (RecursionError, TypeError, ValueError):
            return None

    def get_placeholder(self, value: Any, compiler: Any, connection: Any) -> str:
        """What it is in Django's own INSERT: having it keeps Django from asking for a type."""
        return "%s"

    def get_placeholder_sql(self, value: Any, compiler: Any, connection: Any) -> tuple[str, Any]:
        """The same from 6.1 on, for expressions too."""
        if hasattr(value, "as_sql"):
            sql, parameters = compiler.compile(value)
            return sql, parameters
        return "%s", [value]

    def get_col(self, alias: str, output_field: Any = None) -> DocumentCol:
        """What stands for the field in a query; never one that an earlier query has had."""
        if output_field is None or output_field == self:
            output_field = self._type
        return DocumentCol(alias, self, output_field)

    @cached_property
    def _type(self) -> models.JSONField[Any, Any]:
        return models.JSONField(null=True, encoder=self.encoder, decoder=self.decoder)

    @property
    def cached_col(self) -> DocumentCol:
        return self.get_col(self.model._meta.db_table)

    def formfield(self, **options: Any) -> Any:
        """A form field that refuses what cannot be stored."""
        return super().formfield(**{"form_class": DocumentFormField, **options})


class DocumentFormField(forms.JSONField):
    """A JSONField that refuses what jsonb cannot hold, and what is too deep to be decoded."""

    def to_python(self, value: Any) -> Any:
        """The document; ValidationError where it cannot be stored."""
        try:
            document = super().to_python(value)
            codec.encode("", json.loads(json.dumps(document, cls=self.encoder)))
        except codec.InvalidDocument as error:
            raise ValidationError("; ".join(error.errors.values()), code="invalid") from error
        except (RecursionError, ValueError) as error:
            raise ValidationError(
                f"Python cannot read this JSON: {error}", code="invalid"
            ) from error
        return document

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What a form that is not valid shows again: the text that came, if it is no document."""
        try:
            return super().bound_data(data, initial)
        except (RecursionError, ValueError):
            return InvalidJSONInput(data)


def is_owner(model: type[models.Model]) -> bool:
    """Whether the documents of this model are those we store; also of a model of migrations."""
    return bool(model._meta.label_lower == settings.AUTH_USER_MODEL.lower())


def document_field(model: type[models.Model]) -> PreferencesField | None:
    """The PreferencesField of a model or of its parents; None where it has none."""
    for field in model._meta.concrete_fields:
        if isinstance(field, PreferencesField):
            return field
    return None

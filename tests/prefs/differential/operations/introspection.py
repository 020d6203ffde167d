"""What generic code finds in `_meta`, and validation by the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import connection, models
from django.db.models import Q

from tests.prefs.differential.operations import operation, raising
from tests.prefs.differential.world import BEFORE, World


def field_of(w: World) -> Any:
    """The field of the document."""
    return w.user._meta.get_field("preferences")


@operation
def fields_in_every_list(w: World) -> Any:
    options = w.user._meta
    lists = options.fields, options.concrete_fields, options.local_fields, options.get_fields()
    return [sorted(f.name for f in each if not f.auto_created) for each in lists]


@operation
def no_private_fields(w: World) -> Any:
    options = w.user._meta
    return (
        options.private_fields,
        options.local_concrete_fields != [],
        len(options.db_returning_fields),
    )


@operation
def what_the_field_says(w: World) -> Any:
    field = field_of(w)
    names = (
        *("name", "attname", "column", "verbose_name", "null", "blank", "editable", "unique"),
        *("primary_key", "db_index", "default", "help_text", "choices", "db_default", "serialize"),
        *(
            "concrete",
            "is_relation",
            "hidden",
            "auto_created",
            "generated",
            "empty_strings_allowed",
        ),
        *("many_to_one", "one_to_one", "db_returning", "encoder", "decoder", "remote_field"),
    )
    return {name: getattr(field, name, "absent") for name in names}


@operation
def what_the_field_is_called(w: World) -> Any:
    field = field_of(w)
    return (
        field.get_internal_type(),
        isinstance(field, models.JSONField),
        field.description,
        field.get_default(),
        field.has_default(),
        str(field),
        field.get_attname_column(),
    )


@operation
def the_type_in_the_database(w: World) -> Any:
    field = field_of(w)
    return field.cast_db_type(connection)


@operation
def the_field_deconstructs(w: World) -> Any:
    field = field_of(w)
    name, path, args, kwargs = field.deconstruct()
    return name, path, args, kwargs, type(field.clone()).__mro__[-3:]


@operation
def the_field_compares_and_hashes(w: World) -> Any:
    field = field_of(w)
    return field == w.proxy._meta.get_field("preferences"), len({field, field.clone()}), field.model


@operation
def the_order_of_the_fields(w: World) -> Any:
    return [field.name for field in w.user._meta.local_concrete_fields]


@operation
def copy_all_fields_into_a_new_user(w: World) -> Any:
    user = w.load()
    values = {
        field.attname: getattr(user, field.attname)
        for field in w.user._meta.concrete_fields
        if not field.primary_key
    }
    return w.user.objects.create(**{**values, "username": "copy"})


@operation
def save_all_concrete_fields_by_name(w: World) -> Any:
    user = w.load()
    user.preferences["theme"] = "dark"
    names = [field.name for field in w.user._meta.concrete_fields if not field.primary_key]
    user.save(update_fields=names)
    return user


@raising(FieldDoesNotExist)
def a_field_that_is_not_there(w: World) -> Any:
    w.user._meta.get_field("preference")


@operation
def the_model_checks_clean(w: World) -> Any:
    return [str(each.id) for each in w.user.check() if each.id != "auth.E003"]


# --- validation -----------------------------------------------------------------------------


@contextmanager
def changed(target: Any, **attributes: Any) -> Iterator[None]:
    """A field or options with other attributes."""
    before = {name: target.__dict__[name] for name in attributes if name in target.__dict__}
    target.__dict__.update(attributes)
    try:
        yield
    finally:
        for name in attributes:
            del target.__dict__[name]
        target.__dict__.update(before)


def valid(w: World, document: Any = BEFORE) -> Any:
    """A user of whom everything else is valid."""
    user = w.load(password="x")
    user.preferences = document
    return user


@operation
def full_clean_of_a_good_user(w: World) -> Any:
    user = valid(w)
    user.full_clean()
    return user


@operation
def full_clean_of_many_documents(w: World) -> Any:
    documents: tuple[Any, ...] = (None, {}, [], "", 0, False, {"theme": 7})
    for document in documents:
        valid(w, document).full_clean()


@raising(ValidationError)
def full_clean_of_what_is_no_json(w: World) -> Any:
    valid(w, {"x": object()}).full_clean()


@raising(ValidationError)
def clean_fields_of_a_set(w: World) -> Any:
    valid(w, {1, 2}).clean_fields()


@operation
def clean_fields_but_for_the_document(w: World) -> Any:
    valid(w, {1, 2}).clean_fields(exclude=["preferences"])


@raising(ValidationError)
def a_validator_refuses(w: World) -> Any:
    def refuse(value: Any) -> None:
        raise ValidationError(f"not {sorted(value)}")

    with changed(field_of(w), validators=[refuse]):
        valid(w).full_clean()


@raising(ValidationError)
def an_empty_document_where_blank_is_refused(w: World) -> Any:
    with changed(field_of(w), blank=False):
        valid(w, {}).full_clean()


@operation
def constraints_are_validated(w: World) -> Any:
    constraints = [
        models.CheckConstraint(condition=~Q(username="bad"), name="one"),
        models.UniqueConstraint(fields=["email"], condition=Q(is_staff=True), name="two"),
    ]
    user = valid(w)
    with changed(w.user._meta, constraints=constraints):
        user.full_clean()
        user.validate_constraints()


@raising(ValidationError)
def a_constraint_over_the_document_refuses(w: World) -> Any:
    dark = models.CheckConstraint(condition=~Q(preferences__theme="dark"), name="light")
    user = valid(w, {"theme": "dark"})
    with changed(w.user._meta, constraints=[dark]):
        user.validate_constraints()


@operation
def a_constraint_over_the_document_is_met(w: World) -> Any:
    dark = models.CheckConstraint(condition=~Q(preferences__theme="dark"), name="light")
    user = valid(w, {"theme": "light"})
    with changed(w.user._meta, constraints=[dark]):
        user.full_clean()


@raising(ValidationError)
def a_name_that_is_taken(w: World) -> Any:
    user = valid(w)
    user.username = w.load().username
    user.full_clean()

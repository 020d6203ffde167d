"""Which user a value names: the keys that callers pass, as the key's column has them."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Number
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import models

from prefs.codec import unstorable

_SHOWN = 80


def keys(user_ids: Iterable[Any]) -> list[Any]:
    """The keys among `user_ids`; what the key's column cannot hold is nobody's, and left out."""
    field = _key_field()
    return [key for each in user_ids if (key := _key(field, each)) is not None]


def key_of(user_id: Any) -> Any:
    """The key that `user_id` is. Raises the user model's DoesNotExist where it can be nobody's."""
    key = _key(_key_field(), user_id)
    if key is None:
        raise no_such_user(user_id)
    return key


def no_such_user(user_id: Any) -> Exception:
    """The error for a key that is nobody's."""
    return get_user_model().DoesNotExist(f"There is no user with the key {_shown(user_id)}.")


def _key_field() -> models.Field[Any, Any]:
    field: Any = get_user_model()._meta.pk
    # The key of a child of another model is the key of its parent.
    while field.remote_field:
        field = field.target_field
    assert isinstance(field, models.Field)
    return field


def _key(field: models.Field[Any, Any], value: Any) -> Any:
    """The value as the field has it; None where the field has no such value.

    Django would read True as the key 1, and 1.5 as well: whose document that is nobody said.
    """
    if isinstance(value, bool):
        return None
    try:
        key = field.get_prep_value(value)
        field.run_validators(key)
    except (TypeError, ValueError, OverflowError, ValidationError):
        return None
    if isinstance(value, Number) and isinstance(key, Number) and key != value:
        return None
    # PostgreSQL has no such text.
    return None if isinstance(key, str) and unstorable(key) else key


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:
        # A number of more digits than Python writes.
        return f"a {type(value).__name__} that is too long to print"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"

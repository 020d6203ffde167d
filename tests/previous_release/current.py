"""What a process of this release is asked to do: by the managers, with this site's models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction

from prefs.models import UserPreferences


def add(username: str, document: Any) -> int:
    with transaction.atomic():
        user = get_user_model()._default_manager.create(username=username)
        UserPreferences.objects.replace(user.pk, document)
    return int(user.pk)


def read(user: int) -> Any:
    return UserPreferences.objects.document(user)


def read_all(users: list[int]) -> list[Any]:
    found = UserPreferences.objects.documents(users)
    return [found[user] for user in users]


def merge(user: int, patch: Any) -> Any:
    return UserPreferences.objects.merge(user, patch)


def replace(user: int, document: Any) -> Any:
    return UserPreferences.objects.replace(user, document)


def assign(user: int, document: Any) -> None:
    """As code does that was not changed since the previous release."""
    found = get_user_model()._default_manager.get(pk=user)
    found.preferences = document
    found.save()


def update(user: int, document: Any) -> None:
    """The same by a queryset."""
    changes = {"preferences": document}
    get_user_model()._default_manager.filter(pk=user).update(**changes)


def set_leaves(user: int, leaves: dict[str, Any]) -> None:
    """Read, change, write, as an owner of the user does: nobody else writes meanwhile."""
    replace(user, {**read(user), **leaves})


def rename(user: int, name: str) -> None:
    """A whole save() that changes nothing of the preferences."""
    found = get_user_model()._default_manager.get(pk=user)
    found.first_name = name
    found.save()


def delete(user: int) -> None:
    get_user_model()._default_manager.get(pk=user).delete()


COMMANDS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        add,
        read,
        read_all,
        merge,
        replace,
        assign,
        update,
        set_leaves,
        rename,
        delete,
    )
}

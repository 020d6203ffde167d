"""What a process of the site is asked to do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from django.db import transaction

from tests.previous_release.shop import writers
from tests.previous_release.shop.catalogue import CHANGERS, CREATORS
from tests.previous_release.shop.models import User

_WRITERS: dict[str, Callable[[Any, Any], None]] = {
    name: getattr(writers, name) for name in (*CREATORS, *CHANGERS)
}
_kept: dict[int, User] = {}


def add(writer: str, username: str, document: Any) -> int:
    """A new user by one of the creators; their key."""
    _WRITERS[writer](username, document)
    return int(User.objects.get(username=username).pk)


def change(writer: str, user: int, document: Any) -> None:
    """A new document by one of the changers."""
    _WRITERS[writer](user, document)


def read(user: int) -> Any:
    return User.objects.get(pk=user).preferences


def read_all(users: list[int]) -> list[Any]:
    found = User.objects.only("preferences").in_bulk(users)
    return [found[user].preferences for user in users]


def set_leaves(writer: str, user: int, leaves: dict[str, Any]) -> None:
    """Read, change, write, as an owner of the user does: nobody else writes meanwhile."""
    change(writer, user, {**read(user), **leaves})


def lock_and_set(user: int, leaves: dict[str, Any]) -> None:
    """The same for a user whom others write too: under the row lock."""
    with transaction.atomic():
        found = User.objects.select_for_update().get(pk=user)
        found.preferences = {**found.preferences, **leaves}
        found.save()


def lock(user: int) -> Any:
    """The document of a user whose row is locked until the open transaction ends."""
    return User.objects.select_for_update().get(pk=user).preferences


def keep(user: int) -> None:
    """Have an instance in memory, as a long request has."""
    _kept[user] = User.objects.get(pk=user)


def rename_kept(user: int, name: str) -> None:
    """The whole save() of that instance, which writes the document as it was read."""
    _kept[user].first_name = name
    _kept[user].save()


def rename_and_set(user: int, name: str, leaves: dict[str, Any]) -> None:
    found = User.objects.get(pk=user)
    found.first_name = name
    found.preferences = {**found.preferences, **leaves}
    found.save()


def rename(user: int, name: str) -> None:
    """A whole save() that changes nothing of the preferences."""
    rename_and_set(user, name, {})


def delete(user: int) -> None:
    User.objects.get(pk=user).delete()


def modules() -> list[str]:
    """The packages that this process has imported."""
    return sorted({name.split(".")[0] for name in sys.modules})


COMMANDS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        add,
        change,
        read,
        read_all,
        set_leaves,
        lock_and_set,
        lock,
        keep,
        rename_kept,
        rename,
        rename_and_set,
        delete,
        modules,
    )
}

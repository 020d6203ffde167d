"""Documents that cannot be stored, in every way to store one; rows that are gone."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError, DataError, IntegrityError

from tests.prefs.differential.operations import operation, raising
from tests.prefs.differential.world import BEFORE, TOO_LONG, World


def deep(levels: int) -> Any:
    """A document of so many levels."""
    document: Any = 1
    for _ in range(levels):
        document = {"a": document}
    return document


def cyclic() -> Any:
    """A document that holds itself."""
    document: dict[str, Any] = {}
    document["self"] = document
    return document


def saved(w: World, document: Any) -> None:
    """Save this as the document of a stored user, with another change."""
    user = w.load()
    user.preferences, user.first_name = document, "not stored"
    user.save()


@raising(TypeError)
def save_what_is_no_json(w: World) -> Any:
    saved(w, {"x": object()})


@raising(TypeError)
def save_a_key_that_is_no_text(w: World) -> Any:
    saved(w, {("a", "b"): 1})


@operation
def save_keys_that_become_text(w: World) -> Any:
    user = w.load()
    user.preferences = {1: "a", None: "b", False: "c", 1.5: "d"}
    user.save()
    return w.user.objects.get().preferences


@raising(DataError)
def save_not_a_number(w: World) -> Any:
    saved(w, {"x": float("nan")})


@raising(DataError)
def save_infinity(w: World) -> Any:
    saved(w, {"x": [float("-inf")]})


@raising(DataError)
def save_a_nul(w: World) -> Any:
    saved(w, {"x": "a\x00b"})


@raising(DataError)
def save_a_nul_in_a_key(w: World) -> Any:
    saved(w, {"a\x00": 1})


@raising(DataError)
def save_a_lone_surrogate(w: World) -> Any:
    saved(w, {"x": "\ud800"})


@raising(ValueError)
def save_a_cycle(w: World) -> Any:
    saved(w, cyclic())


@raising(RecursionError)
def save_what_is_too_deep(w: World) -> Any:
    saved(w, deep(100_000))


@raising(DataError)
def create_with_a_nul(w: World) -> Any:
    w.user.objects.create(username="ada", preferences={"x": "\x00"})


@raising(TypeError)
def create_with_what_is_no_json(w: World) -> Any:
    w.user.objects.create(username="ada", preferences=object())


@raising(DataError)
def bulk_create_with_one_nul(w: World) -> Any:
    w.user.objects.bulk_create(
        [
            w.user(username=name, preferences={"x": f"{name}\x00"[: len(name) + (name == "b")]})
            for name in "abc"
        ]
    )


@raising(DataError)
def bulk_update_with_one_nul(w: World) -> Any:
    users = list(w.user.objects.filter(pk__in=w.add_many({"n": 1}, {"n": 2})).order_by("pk"))
    users[0].preferences, users[1].preferences = {"x": 1}, {"x": "\x00"}
    w.user.objects.bulk_update(users, ["preferences"], batch_size=1)


@raising(DataError)
def update_with_a_nul(w: World) -> Any:
    w.add()
    w.user.objects.update(preferences={"x": "\x00"}, first_name="not stored")


@raising(TypeError)
def update_with_what_is_no_json(w: World) -> Any:
    w.add()
    w.user.objects.update(preferences=object())


@raising(DataError)
def get_or_create_with_a_nul(w: World) -> Any:
    w.user.objects.get_or_create(username="ada", defaults={"preferences": {"x": "\x00"}})


@raising(DataError)
def update_or_create_with_a_nul(w: World) -> Any:
    w.user.objects.update_or_create(pk=w.add(), defaults={"preferences": {"x": "\x00"}})


@raising(DataError)
def filter_by_a_nul(w: World) -> Any:
    w.add()
    w.user.objects.filter(preferences__theme="\x00").count()


@raising(IntegrityError)
def save_a_name_that_is_taken(w: World) -> Any:
    user, other = w.load(), w.load()
    user.username = other.username
    user.preferences["theme"] = "dark"
    user.save()


@raising(IntegrityError)
def create_a_name_that_is_taken(w: World) -> Any:
    w.user.objects.create(username=w.load().username, preferences={"x": 1})


@raising(DatabaseError)
def update_fields_of_one_that_is_gone(w: World) -> Any:
    user = w.load()
    w.user.objects.filter(pk=user.pk).delete()
    user.save(update_fields=["preferences"])


@raising(DatabaseError)
def force_an_update_of_one_that_is_gone(w: World) -> Any:
    user = w.load()
    w.user.objects.filter(pk=user.pk).delete()
    user.preferences = {"x": 1}
    user.save(force_update=True)


@operation
def save_one_that_is_gone(w: World) -> Any:
    user = w.load()
    w.user.objects.filter(pk=user.pk).delete()
    user.first_name = "Ada"
    user.save()
    return user


@raising(ObjectDoesNotExist)
def read_what_was_deferred_of_one_that_is_gone(w: World) -> Any:
    user = w.user.objects.defer("preferences").get(pk=w.add())
    w.user.objects.filter(pk=user.pk).delete()
    return user.preferences


@raising(ValueError)
def delete_one_without_a_key(w: World) -> Any:
    w.user(username="ada").delete()


@raising(ObjectDoesNotExist)
def get_nobody(w: World) -> Any:
    w.user.objects.get(preferences__theme="dark")


@raising(Exception)
def get_several(w: World) -> Any:
    w.add_many(BEFORE, BEFORE)
    w.user.objects.get(preferences__theme="light")


@raising(ValueError)
def save_with_a_key_that_is_no_number(w: World) -> Any:
    w.user(pk="nonsense", username="ada", preferences={"x": 1}).save()


@raising(ValueError)
def list_one_that_python_cannot_decode(w: World) -> Any:
    w.add(text=TOO_LONG)
    return list(w.user.objects.values_list("preferences", flat=True))


@operation
def write_over_what_python_cannot_decode(w: World) -> Any:
    key = w.add(text=TOO_LONG)
    return w.user.objects.filter(pk=key).update(preferences={"x": 1})


@operation
def delete_one_that_python_cannot_decode(w: World) -> Any:
    w.add(text=TOO_LONG)
    return w.user.objects.defer("preferences").get().delete()

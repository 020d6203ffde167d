"""One instance at a time: what saving it stores, in every way to save."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError

from tests.prefs.differential.operations import operation, raising
from tests.prefs.differential.world import BEFORE, World

DARK = {**BEFORE, "theme": "dark"}


@operation
def assign_and_save(w: World) -> Any:
    user = w.load()
    user.preferences = DARK
    user.save()
    return user, user.preferences is DARK


@operation
def assign_null_and_save(w: World) -> Any:
    user = w.load()
    user.preferences = None
    user.save()
    return user


@operation
def save_another_field(w: World) -> Any:
    user = w.load()
    user.first_name = "Ada"
    user.save()
    return user


@operation
def save_nothing_changed(w: World) -> Any:
    w.load().save()


@operation
def save_update_fields_of_the_document(w: World) -> Any:
    user = w.load()
    user.preferences, user.first_name = DARK, "not stored"
    user.save(update_fields=["preferences"])
    return user


@operation
def save_update_fields_of_another(w: World) -> Any:
    user = w.load()
    user.preferences, user.first_name = DARK, "Ada"
    user.save(update_fields=["first_name"])
    first = w.committed(user.pk)
    user.save()
    return first, user


@operation
def save_update_fields_of_both(w: World) -> Any:
    user = w.load()
    user.preferences, user.first_name = DARK, "Ada"
    user.save(update_fields=["first_name", "preferences"])
    return user


@operation
def save_update_fields_unchanged(w: World) -> Any:
    user = w.load()
    user.save(update_fields=["preferences"])
    return user


@operation
def save_with_no_update_fields_at_all(w: World) -> Any:
    user = w.load()
    user.preferences = DARK
    user.save(update_fields=[])
    return user


@raising(ValueError)
def save_update_fields_of_no_field(w: World) -> Any:
    w.load().save(update_fields=["preference"])


@operation
def save_update_fields_of_a_new_instance(w: World) -> Any:
    user = w.user(pk=w.add(), username="ada", preferences=DARK)
    user.save(update_fields=["preferences"])
    return user


@operation
def save_with_force_update(w: World) -> Any:
    user = w.load()
    user.preferences = DARK
    user.save(force_update=True)
    return user


@raising(IntegrityError)
def save_with_force_insert_of_a_stored_one(w: World) -> Any:
    user = w.load()
    user.preferences = DARK
    user.save(force_insert=True)


@operation
def save_over_an_existing_key(w: World) -> Any:
    key = w.add()
    w.user(pk=key, username="ada").save()
    return w.user.objects.get(pk=key)


@operation
def save_over_an_existing_key_with_a_document(w: World) -> Any:
    key = w.add()
    w.user(pk=key, username="ada", preferences={"y": 1}).save()
    return w.user.objects.get(pk=key)


@operation
def save_as_a_copy_without_a_key(w: World) -> Any:
    user = w.load()
    user.pk, user.username = None, "copy"
    user.save()
    return user


@operation
def save_as_a_copy_said_to_be_new(w: World) -> Any:
    user = w.load()
    user.pk, user.username, user._state.adding = None, "copy", True
    user.preferences["copied"] = True
    user.save()
    return user


@operation
def save_under_the_key_of_another(w: World) -> Any:
    first, second = w.load(), w.add({"other": 1})
    first.pk, first.username = second, "user-two"
    first.save()
    return first


@operation
def save_twice_with_a_change_between(w: World) -> Any:
    user = w.load()
    user.preferences["a"] = 1
    user.save()
    user.preferences["b"] = 2
    del user.preferences["a"]
    user.save()
    return user


@operation
def assign_what_was_stored_by_another(w: World) -> Any:
    user = w.load()
    w.write_elsewhere(user.pk, DARK)
    user.preferences = DARK
    user.save()
    return user

"""One instance at a time: made, loaded, changed, saved, loaded again, copied, deleted."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError

from tests.prefs.differential.operations import operation, raising
from tests.prefs.differential.world import BEFORE, World

DARK = {**BEFORE, "theme": "dark"}


@operation
def create_with_a_document(w: World) -> Any:
    return w.user.objects.create(username="ada", preferences={"theme": "dark", "n": [1, 1.0]})


@operation
def create_without_a_document(w: World) -> Any:
    return w.user.objects.create(username="ada")


@operation
def create_with_null(w: World) -> Any:
    made = w.user.objects.create(username="ada", preferences=None)
    return made, w.user.objects.get().preferences


@operation
def make_and_save(w: World) -> Any:
    user = w.user(username="ada")
    user.preferences["theme"] = "dark"
    user.save()
    return user


@operation
def a_new_instance_has_the_default(w: World) -> Any:
    return w.user(username="ada"), w.user(username="b").preferences is w.user().preferences


@operation
def get_with_its_document(w: World) -> Any:
    return w.user.objects.get(pk=w.add())


@operation
def change_in_place_and_save(w: World) -> Any:
    user = w.load()
    user.preferences["theme"] = "dark"
    user.save()
    return user


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


@operation
def delete_and_save_again(w: World) -> Any:
    user = w.load()
    gone = user.delete()
    user.save()
    return gone, user


@operation
def read_after_delete(w: World) -> Any:
    user = w.load()
    return user.delete(), user.preferences, user.pk


@operation
def equality_and_hashing(w: World) -> Any:
    key = w.add()
    one, other = w.user.objects.get(pk=key), w.user.objects.defer("preferences").get(pk=key)
    return one == other, hash(one) == hash(other), len({one, other})


@operation
def arguments_by_position(w: World) -> Any:
    names = [field.attname for field in w.user._meta.concrete_fields]
    values = {**dict.fromkeys(names, ""), "preferences": {"x": 1}, "id": 5}
    return w.user(*(values[name] for name in names)).preferences


@raising(TypeError)
def an_argument_that_is_no_field(w: World) -> Any:
    w.user(preference={})


@operation
def serializable_value_and_value_from_object(w: World) -> Any:
    user, field = w.load(), w.user._meta.get_field("preferences")
    return (
        user.serializable_value("preferences"),
        field.value_from_object(user),
        field.value_to_string(user),
    )


@operation
def the_document_stands_in_dict(w: World) -> Any:
    user = w.load()
    vars(user)["preferences"]["x"] = 1
    user.save()
    return "preferences" in vars(user), "preferences" in vars(w.user())


@operation
def delete_the_attribute_and_read_it(w: World) -> Any:
    user = w.load()
    del user.preferences
    w.write_elsewhere(user.pk, DARK)
    return user.preferences


@operation
def set_by_setattr_and_save_by_save_base(w: World) -> Any:
    user = w.load()
    setattr(user, "preferences", DARK)  # noqa: B010
    user.save_base(raw=True)
    return user

"""One instance at a time: made, changed, copied, deleted; what its class says."""

from __future__ import annotations

from typing import Any

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

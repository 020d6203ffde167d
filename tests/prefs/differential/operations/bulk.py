"""Many instances at once: bulk_create and bulk_update."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError
from django.db.models import F

from tests.prefs.differential.operations import operation, raising
from tests.prefs.differential.world import BEFORE, World

DARK = {**BEFORE, "theme": "dark"}


@operation
def bulk_create_with_documents(w: World) -> Any:
    made = [w.user(username=name, preferences={"name": name}) for name in "abc"]
    return w.user.objects.bulk_create(made), [user._state.adding for user in made]


@operation
def bulk_create_without_documents(w: World) -> Any:
    return w.user.objects.bulk_create([w.user(username=name) for name in "abc"])


@operation
def bulk_create_in_batches_and_save(w: World) -> Any:
    made = w.user.objects.bulk_create(
        [w.user(username=name, preferences={"n": 1}) for name in "abcd"], batch_size=3
    )
    made[3].preferences["m"] = 2
    made[3].save()
    return made[3]


@operation
def bulk_create_with_keys(w: World) -> Any:
    return w.user.objects.bulk_create([w.user(pk=7, username="a", preferences={"x": 1})])


@operation
def bulk_create_with_null(w: World) -> Any:
    return w.user.objects.bulk_create([w.user(username="a", preferences=None)])


@operation
def bulk_create_ignoring_conflicts_without_documents(w: World) -> Any:
    key = w.add()
    made = [w.user(username=name) for name in (f"user{key}", "new")]
    w.user.objects.bulk_create(made, ignore_conflicts=True)


@operation
def bulk_create_updating_others_on_conflicts(w: World) -> Any:
    key = w.add()
    made = [w.user(username=name, first_name="Ada") for name in (f"user{key}", "new")]
    w.user.objects.bulk_create(
        made, update_conflicts=True, unique_fields=["username"], update_fields=["first_name"]
    )


@operation
def bulk_create_ignoring_conflicts_with_documents(w: World) -> Any:
    key = w.add()
    made = [w.user(username=name, preferences=DARK) for name in (f"user{key}", "new")]
    w.user.objects.bulk_create(made, ignore_conflicts=True)


@operation
def bulk_create_updating_the_document_on_conflicts(w: World) -> Any:
    key = w.add()
    made = [w.user(username=name, preferences=DARK) for name in (f"user{key}", "new")]
    w.user.objects.bulk_create(
        made, update_conflicts=True, unique_fields=["username"], update_fields=["preferences"]
    )


@raising(IntegrityError)
def bulk_create_with_a_conflict(w: World) -> Any:
    key = w.add()
    w.user.objects.bulk_create(
        [w.user(username=name, preferences=DARK) for name in ("new", f"user{key}")]
    )


@operation
def bulk_update_documents(w: World) -> Any:
    users = list(w.user.objects.filter(pk__in=w.add_many({"n": 1}, {"n": 2})).order_by("pk"))
    for user in users:
        user.preferences["m"] = user.pk
    changed = w.user.objects.bulk_update(users, ["preferences"])
    users[0].save()
    return changed


@operation
def bulk_update_documents_and_another(w: World) -> Any:
    users = list(w.user.objects.filter(pk__in=w.add_many({"n": 1}, {"n": 2})).order_by("pk"))
    for user in users:
        user.preferences, user.first_name = None, "Ada"
    return w.user.objects.bulk_update(users, ["first_name", "preferences"], batch_size=1)


@operation
def bulk_update_another(w: World) -> Any:
    user = w.load()
    user.first_name, user.preferences = "Ada", DARK
    return w.user.objects.bulk_update([user], ["first_name"])


@operation
def bulk_update_with_an_expression(w: World) -> Any:
    user = w.load({"a": {"b": 1}})
    user.preferences = F("preferences__a")
    return w.user.objects.bulk_update([user], ["preferences"])


@operation
def bulk_update_one_that_is_gone(w: World) -> Any:
    user, other = w.load(), w.load()
    w.user.objects.filter(pk=user.pk).delete()
    user.preferences = other.preferences = DARK
    return w.user.objects.bulk_update([user, other], ["preferences"])


@raising(ValueError)
def bulk_update_one_without_a_key(w: World) -> Any:
    w.user.objects.bulk_update([w.user(username="new")], ["preferences"])

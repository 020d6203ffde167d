"""How instances are loaded: deferred, again, in bulk, in steps."""

from __future__ import annotations

import itertools
from typing import Any

from django.core.exceptions import FieldDoesNotExist

from tests.prefs.differential.operations import operation, raising
from tests.prefs.differential.world import BEFORE, World

DARK = {**BEFORE, "theme": "dark"}


@operation
def defer_the_document_and_read_it(w: World) -> Any:
    user = w.user.objects.defer("preferences").get(pk=w.add())
    return user.get_deferred_fields(), "preferences" in vars(user), user.preferences


@operation
def defer_the_document_and_save(w: World) -> Any:
    user = w.user.objects.defer("preferences").get(pk=w.add())
    user.first_name = "Ada"
    user.save()
    return user


@operation
def defer_the_document_assign_and_save(w: World) -> Any:
    user = w.user.objects.defer("preferences").get(pk=w.add())
    user.preferences = DARK
    user.save()
    return user


@operation
def defer_the_document_read_change_and_save(w: World) -> Any:
    user = w.user.objects.defer("preferences").get(pk=w.add())
    user.preferences["theme"] = "dark"
    user.save()
    return user


@operation
def only_the_document(w: World) -> Any:
    w.add_many(BEFORE, {}, None)
    return list(w.user.objects.only("preferences").order_by("pk"))


@operation
def only_another_field_and_save(w: World) -> Any:
    user = w.user.objects.only("username").get(pk=w.add())
    user.username = "ada"
    user.save()
    return user


@raising(Exception)
def only_another_field_and_a_copy(w: World) -> Any:
    user = w.user.objects.defer("preferences").get(pk=w.add())
    user.pk, user.username = None, "copy"
    user.save()


@operation
def only_nothing_and_defer_everything(w: World) -> Any:
    w.add()
    return w.user.objects.only("pk").get(), w.user.objects.defer("preferences", "email").get()


@operation
def no_deferred_fields(w: World) -> Any:
    user = w.load()
    return user.get_deferred_fields(), w.user(username="a").get_deferred_fields()


@operation
def refresh_everything(w: World) -> Any:
    user = w.load()
    user.preferences["lost"], user.first_name = 1, "lost"
    w.write_elsewhere(user.pk, DARK)
    user.refresh_from_db()
    return user


@operation
def refresh_the_document(w: World) -> Any:
    user = w.load()
    user.preferences["lost"], user.first_name = 1, "kept"
    user.refresh_from_db(fields=["preferences"])
    user.save()
    return user


@operation
def refresh_another_field(w: World) -> Any:
    user = w.load()
    user.preferences["kept"], user.first_name = 1, "lost"
    user.refresh_from_db(fields=["first_name"])
    user.save()
    return user


@operation
def refresh_from_a_queryset(w: World) -> Any:
    user = w.load()
    user.preferences = {}
    user.refresh_from_db(from_queryset=w.user.objects.filter(is_active=True))
    return user


@operation
def refresh_a_deferred_one(w: World) -> Any:
    user = w.user.objects.defer("preferences").get(pk=w.add())
    user.refresh_from_db()
    return user


@operation
def refresh_after_create(w: World) -> Any:
    user = w.user.objects.create(username="ada", preferences={"n": (1, 2)})
    user.refresh_from_db()
    return user


@raising(Exception)
def refresh_one_that_is_gone(w: World) -> Any:
    user = w.load()
    w.user.objects.filter(pk=user.pk).delete()
    user.refresh_from_db()


@raising(FieldDoesNotExist)
def refresh_no_field(w: World) -> Any:
    w.load().refresh_from_db(fields=["preference"])


@operation
def in_bulk_by_key_and_by_name(w: World) -> Any:
    keys = w.add_many({"n": 1}, {"n": 2})
    return w.user.objects.in_bulk(keys), w.user.objects.in_bulk(field_name="username")


@operation
def iterate_in_chunks(w: World) -> Any:
    w.add_many(*({"n": number} for number in range(7)))
    return list(w.user.objects.order_by("pk").iterator(chunk_size=3))


@operation
def stop_iterating_early(w: World) -> Any:
    w.add_many(*({"n": number} for number in range(7)))
    found = w.user.objects.order_by("pk").iterator(chunk_size=2)
    return [user.preferences for user in itertools.islice(found, 3)]


@operation
def slice_first_last_latest_earliest(w: World) -> Any:
    w.add_many(*({"n": number} for number in range(4)))
    users = w.user.objects.order_by("pk")
    return (
        list(users[1:3]),
        users[0],
        users.first(),
        users.last(),
        w.user.objects.latest("pk"),
        w.user.objects.earliest("pk"),
    )


@operation
def get_by_natural_key(w: World) -> Any:
    user = w.load()
    return w.user.objects.get_by_natural_key(user.username), user.natural_key()

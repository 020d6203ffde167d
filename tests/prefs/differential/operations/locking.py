"""Rows that are locked: select_for_update, and what a save holds."""

from __future__ import annotations

from typing import Any

from django.db import OperationalError, transaction
from django.db.models import F
from django.db.models.functions import JSONObject
from django.db.transaction import TransactionManagementError

from tests.prefs.differential.operations import operation, raising
from tests.prefs.differential.world import BEFORE, World
from tests.support import stores

DARK = {**BEFORE, "theme": "dark"}


@raising(TransactionManagementError)
def lock_outside_of_a_transaction(w: World) -> Any:
    w.add()
    list(w.user.objects.select_for_update())


@operation
def lock_and_change(w: World) -> Any:
    key = w.add()
    with transaction.atomic():
        user = w.user.objects.select_for_update().get(pk=key)
        user.preferences["theme"] = "dark"
        user.save()
    return user


@operation
def lock_in_every_way(w: World) -> Any:
    w.add_many({"n": 1}, {"n": 2})
    users = w.user.objects.order_by("pk")
    with transaction.atomic():
        return [
            list(users.select_for_update(of=("self",))),
            list(users.select_for_update(no_key=True)),
            list(users.select_for_update(nowait=True).filter(preferences__n=1)),
            list(users.select_for_update(skip_locked=True).values("preferences")),
            list(users.select_for_update().only("preferences")[:1]),
            users.select_for_update().count(),
            users.select_for_update().filter(preferences__n=2).exists(),
        ]


@operation
def lock_with_related_rows(w: World) -> Any:
    w.note.objects.create(user_id=w.add())
    with transaction.atomic():
        notes = w.note.objects.select_related("user").select_for_update(of=("self",))
        return [note.user for note in notes]


@raising(OperationalError)
def lock_a_row_that_is_locked(w: World) -> Any:
    key = w.add()

    def lock() -> Any:
        with transaction.atomic():
            return w.user.objects.select_for_update(nowait=True).get(pk=key)

    with transaction.atomic():
        w.user.objects.select_for_update().get(pk=key)
        w.elsewhere(lock)


@operation
def skip_a_row_that_is_locked(w: World) -> Any:
    first, _ = w.add_many({"n": 1}, {"n": 2})

    def rest() -> Any:
        with transaction.atomic():
            users = w.user.objects.select_for_update(skip_locked=True)
            return [user.preferences for user in users]

    with transaction.atomic():
        w.user.objects.select_for_update().get(pk=first)
        return w.elsewhere(rest)


@operation
def a_save_holds_the_row(w: World) -> Any:
    key = w.add()

    def free() -> int:
        with transaction.atomic():
            return len(w.user.objects.select_for_update(skip_locked=True).values("pk"))

    user = w.user.objects.get(pk=key)
    with transaction.atomic():
        user.save(update_fields=["preferences"])
        held = w.elsewhere(free)
    return held, free()


@operation
def wait_for_a_writer_and_get(w: World) -> Any:
    key = w.add()
    with transaction.atomic():
        return w.overtaken(key, DARK, lambda: w.user.objects.select_for_update().get(pk=key))


@operation
def wait_for_a_writer_and_change(w: World) -> Any:
    key = w.add()
    with transaction.atomic():
        user = w.overtaken(key, DARK, lambda: w.user.objects.select_for_update().get(pk=key))
        user.preferences["more"] = 1
        user.save()
    return user


@operation
def wait_for_a_writer_and_list(w: World) -> Any:
    key, _ = w.add_many(BEFORE, {"n": 1})
    users = w.user.objects.select_for_update().order_by("pk")
    with transaction.atomic():
        return w.overtaken(key, DARK, lambda: list(users))


@operation
def wait_for_a_writer_and_list_of_self(w: World) -> Any:
    key = w.add()
    users = w.user.objects.select_for_update(of=("self",), no_key=True).only("preferences")
    with transaction.atomic():
        return w.overtaken(key, DARK, lambda: list(users))


@operation
def wait_for_a_writer_and_iterate(w: World) -> Any:
    key = w.add()
    users = w.user.objects.select_for_update()
    with transaction.atomic():
        return w.overtaken(key, DARK, lambda: list(users.iterator()))


@operation
def wait_for_a_writer_and_take_values(w: World) -> Any:
    key = w.add()
    users = w.user.objects.select_for_update().values("preferences", "preferences__theme")
    with transaction.atomic():
        return w.overtaken(key, DARK, lambda: list(users))


@operation
def wait_for_a_writer_and_find_none(w: World) -> Any:
    key = w.add()
    users = w.user.objects.select_for_update().filter(preferences__theme="light")
    with transaction.atomic():
        return w.overtaken(key, DARK, lambda: list(users))


@operation
def wait_for_a_writer_and_join(w: World) -> Any:
    key = w.add()
    w.note.objects.create(user_id=key)
    notes = w.note.objects.select_related("user").exclude(user=None).select_for_update()
    with transaction.atomic():
        return w.overtaken(key, DARK, lambda: [note.user for note in notes.filter(text="")])


@operation
def wait_for_a_writer_and_save(w: World) -> Any:
    user = w.load()
    user.preferences["more"] = 1
    return w.overtaken(user.pk, DARK, user.save)


@operation
def wait_for_a_writer_and_save_another_field(w: World) -> Any:
    user = w.load()
    user.first_name = "Ada"
    return w.overtaken(user.pk, DARK, lambda: user.save(update_fields=["first_name"]))


@operation
def wait_for_a_writer_and_update(w: World) -> Any:
    key = w.add()
    light = w.user.objects.filter(preferences__theme="light")
    return w.overtaken(key, DARK, lambda: light.update(preferences={"x": 1}))


@operation
def wait_for_a_writer_and_update_another_field(w: World) -> Any:
    key = w.add()
    light = w.user.objects.filter(preferences__theme="light")
    return w.overtaken(key, DARK, lambda: light.update(first_name="Ada"))


@operation
def wait_for_a_writer_and_copy_a_key(w: World) -> Any:
    key = w.add()
    theme = F("preferences__theme")
    return w.overtaken(key, DARK, lambda: w.user.objects.update(first_name=theme))


@operation
def wait_for_a_writer_and_delete_one(w: World) -> Any:
    user = w.load()
    return w.overtaken(user.pk, DARK, user.delete), user.preferences


@operation
def wait_for_a_writer_and_update_by_an_expression(w: World) -> Any:
    key = w.add()
    changed = JSONObject(was=F("preferences__theme"))
    return w.overtaken(key, DARK, lambda: w.user.objects.update(preferences=changed))


@operation
def wait_for_a_writer_and_delete(w: World) -> Any:
    key = w.add()
    light = w.user.objects.filter(preferences__theme="light")
    return w.overtaken(key, DARK, lambda: light._raw_delete("default"))


@raising(OperationalError)
def overtaken_in_a_repeatable_read(w: World) -> Any:
    user = w.load()
    with transaction.atomic():
        stores.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        w.user.objects.count()
        w.write_elsewhere(user.pk, DARK)
        user.preferences["more"] = 1
        user.save()


@operation
def save_in_a_repeatable_read(w: World) -> Any:
    user = w.load()
    with transaction.atomic():
        stores.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        user.preferences["more"] = 1
        user.save()

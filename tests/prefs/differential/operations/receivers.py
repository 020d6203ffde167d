"""What receivers of signals see and do while a user is made, saved and deleted."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.models.signals import ModelSignal, post_delete, post_init, post_save, pre_save

from tests.prefs.differential.operations import operation, raising
from tests.prefs.differential.world import BEFORE, World

DARK = {**BEFORE, "theme": "dark"}


@contextmanager
def receiving(signal: ModelSignal, w: World, receive: Callable[..., Any]) -> Iterator[None]:
    """Have this called with the instance."""

    def receiver(instance: Any, **_: Any) -> None:
        receive(instance)

    signal.connect(receiver, sender=w.user, weak=False)
    try:
        yield
    finally:
        signal.disconnect(receiver, sender=w.user)


@operation
def a_receiver_changes_before_saving(w: World) -> Any:
    user = w.load()
    with receiving(pre_save, w, lambda instance: instance.preferences.update(theme="dark")):
        user.save()
    return user


@operation
def a_receiver_assigns_before_creating(w: World) -> Any:
    def assign(instance: Any) -> None:
        instance.preferences = DARK

    with receiving(pre_save, w, assign):
        return w.user.objects.create(username="ada")


@operation
def a_receiver_saves_again_afterwards(w: World) -> Any:
    def again(instance: Any) -> None:
        if "seen" not in instance.preferences:
            instance.preferences["seen"] = True
            instance.save()

    with receiving(post_save, w, again):
        return w.user.objects.create(username="ada", preferences={"theme": "dark"})


@operation
def a_receiver_saves_another_copy(w: World) -> Any:
    def other(instance: Any) -> None:
        if not instance.first_name:
            found = w.user.objects.get(pk=instance.pk)
            found.first_name, found.preferences["receiver"] = "Ada", 1
            found.save()

    user = w.load()
    user.preferences["caller"] = 1
    with receiving(post_save, w, other):
        user.save()
    return user


@operation
def a_receiver_begins_a_durable_block(w: World) -> Any:
    def durably(instance: Any) -> None:
        with transaction.atomic(durable=True):
            instance.notes.create(text="durable")

    user = w.load()
    user.preferences["theme"] = "dark"
    with receiving(post_save, w, durably):
        user.save()


@raising(KeyError)
def a_receiver_raises_after_saving(w: World) -> Any:
    user = w.load()
    user.preferences["theme"] = "dark"
    with receiving(post_save, w, lambda instance: instance.preferences["nothing"]):
        user.save()


@raising(KeyError)
def a_receiver_raises_before_saving(w: World) -> Any:
    user = w.load()
    user.preferences["theme"] = "dark"
    with receiving(pre_save, w, lambda instance: instance.preferences["nothing"]):
        user.save()


@raising(Exception)
def a_receiver_assigns_what_jsonb_refuses(w: World) -> Any:
    def assign(instance: Any) -> None:
        instance.preferences = {"x": "\x00"}

    user = w.load()
    user.first_name = "Ada"
    with receiving(pre_save, w, assign):
        user.save()


@operation
def a_receiver_asks_for_a_call_on_commit(w: World) -> Any:
    seen: list[Any] = []

    def ask(instance: Any) -> None:
        transaction.on_commit(lambda: seen.append(w.committed(instance.pk)))

    with receiving(post_save, w, ask):
        user = w.user.objects.create(username="ada", preferences={"theme": "dark"})
        with transaction.atomic():
            user.preferences["theme"] = "light"
            user.save()
            seen.append("before the end")
    return seen


@operation
def a_receiver_copies_when_an_instance_is_made(w: World) -> Any:
    w.add_many(BEFORE, None)
    seen: list[Any] = []
    with receiving(post_init, w, lambda i: seen.append(copy.deepcopy(i.preferences))):
        w.user(username="a")
        w.user(username="b", preferences=DARK)
        list(w.user.objects.order_by("pk"))
    return seen


@operation
def a_receiver_changes_when_an_instance_is_made(w: World) -> Any:
    key = w.add()
    with receiving(post_init, w, lambda instance: instance.preferences.setdefault("new", 1)):
        user = w.user.objects.get(pk=key)
    user.save()
    return user


@operation
def a_receiver_reads_after_deleting(w: World) -> Any:
    seen: list[Any] = []
    user, other = w.load(), w.add(DARK)
    with receiving(post_delete, w, lambda instance: seen.append(instance.preferences)):
        user.delete()
        w.user.objects.filter(pk=other).delete()
    return seen


@operation
def a_receiver_reads_deferred_after_deleting(w: World) -> Any:
    seen: list[Any] = []
    w.add()
    user = w.user.objects.only("preferences").get()
    with receiving(post_delete, w, lambda instance: seen.append(vars(instance)["preferences"])):
        user.delete()
    return seen


@operation
def a_receiver_looks_for_what_changed(w: World) -> Any:
    seen: list[Any] = []

    def compare(instance: Any) -> None:
        stored = w.user.objects.filter(pk=instance.pk).first()
        seen.append((stored and stored.preferences, instance.preferences))

    with receiving(pre_save, w, compare):
        user = w.user.objects.create(username="ada", preferences={"x": 1})
        user.preferences = DARK
        user.save()
    return seen


@operation
def receivers_within_a_transaction(w: World) -> Any:
    user = w.load()
    with transaction.atomic():
        user.preferences["theme"] = "dark"
        user.save()
        w.user.objects.create(username="ada", preferences={})
    return connection.in_atomic_block


@operation
def receivers_of_update_fields(w: World) -> Any:
    seen: list[Any] = []

    def told(update_fields: Any = None, **_: Any) -> None:
        seen.append(update_fields)

    pre_save.connect(told, sender=w.user)
    try:
        user = w.load()
        user.save(update_fields=("preferences", "email"))
        w.user.objects.only("username", "preferences").get().save()
        w.user.objects.defer("preferences").get().save()
    finally:
        pre_save.disconnect(told, sender=w.user)
    return seen

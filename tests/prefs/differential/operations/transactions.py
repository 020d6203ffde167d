"""Transactions, rollbacks, and several instances of one user."""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.transaction import TransactionManagementError

from tests.prefs.differential.operations import operation, raising
from tests.prefs.differential.world import BEFORE, World

DARK = {**BEFORE, "theme": "dark"}


def undone(work: Any) -> Any:
    """Do it in a transaction that is rolled back."""
    with transaction.atomic():
        result = work()
        transaction.set_rollback(True)
    return result


@operation
def save_in_a_transaction(w: World) -> Any:
    user = w.load()
    with transaction.atomic():
        user.preferences = DARK
        user.save()
        first = w.committed(user.pk)
    return first, user


@operation
def save_and_roll_back_and_save_again(w: World) -> Any:
    user = w.load()
    user.preferences["theme"] = "dark"
    undone(user.save)
    first = w.committed(user.pk)
    user.save()
    return first, user


@operation
def save_and_roll_back_to_a_savepoint(w: World) -> Any:
    user = w.load()
    with transaction.atomic():
        user.preferences["theme"] = "dark"
        undone(user.save)
        user.save()
    return user


@operation
def create_and_roll_back_and_save_again(w: World) -> Any:
    user = w.user(username="ada", preferences=DARK)
    undone(user.save)
    first = w.committed(user.pk)
    user.save()
    return first, user


@operation
def load_within_what_is_rolled_back(w: World) -> Any:
    key = w.add()

    def load() -> Any:
        w.user.objects.filter(pk=key).update(preferences=DARK)
        return w.user.objects.get(pk=key)

    user = undone(load)
    user.save()
    return user


@operation
def load_within_a_rolled_back_savepoint(w: World) -> Any:
    key = w.add()

    def load() -> Any:
        w.user.objects.filter(pk=key).update(preferences=DARK)
        return w.user.objects.get(pk=key)

    with transaction.atomic():
        user = undone(load)
        user.save()
    return user


@operation
def read_within_what_is_rolled_back(w: World) -> Any:
    user = w.load()
    other = w.user.objects.defer("preferences").get(pk=user.pk)

    def read() -> Any:
        w.user.objects.filter(pk=user.pk).update(preferences=DARK)
        return user.preferences, other.preferences

    seen = undone(read)
    user.preferences = DARK
    user.save()
    return seen, user


@operation
def refresh_within_what_is_rolled_back(w: World) -> Any:
    user = w.load()

    def refresh() -> None:
        w.user.objects.filter(pk=user.pk).update(preferences=DARK)
        user.refresh_from_db()

    undone(refresh)
    user.first_name = "Ada"
    user.save()
    return user


@operation
def delete_and_roll_back_and_save(w: World) -> Any:
    user = w.load()
    undone(user.delete)
    key = w.user.objects.get().pk
    user.pk = key
    user.preferences["theme"] = "dark"
    user.save()
    return user


@operation
def bulk_writes_rolled_back(w: World) -> Any:
    user = w.load()
    user.preferences["theme"] = "dark"
    made = [w.user(username="new", preferences={"x": 1})]
    undone(lambda: w.user.objects.bulk_update([user], ["preferences"]))
    undone(lambda: w.user.objects.bulk_create(made))
    user.save()
    return user


@operation
def read_after_an_error_in_a_transaction(w: World) -> Any:
    user = w.load()
    with transaction.atomic():
        try:
            w.user.objects.create(pk=user.pk, username="other")
        except IntegrityError:
            return user.preferences
    return "no error"


@raising(TransactionManagementError)
def save_after_an_error_in_a_transaction(w: World) -> Any:
    user = w.load()
    with transaction.atomic():
        try:
            w.user.objects.create(pk=user.pk, username="other")
        except IntegrityError:
            user.preferences["theme"] = "dark"
            user.save()


@raising(TransactionManagementError)
def go_on_after_a_save_that_failed(w: World) -> Any:
    user = w.load()
    user.preferences = {"x": "\x00"}
    with transaction.atomic():
        try:
            user.save()
        except (DatabaseError, ValueError):
            w.user.objects.count()


@operation
def a_save_that_failed_and_a_good_one(w: World) -> Any:
    user = w.load()
    user.preferences, user.first_name = {"x": "\x00"}, "Ada"
    try:
        user.save()
    except (DatabaseError, ValueError):
        user.preferences = DARK
    first = w.committed(user.pk)
    user.save()
    return first, user


@operation
def two_instances_save_in_turn(w: World) -> Any:
    first = w.load({"a": 1, "b": 1})
    second = w.user.objects.get(pk=first.pk)
    first.preferences["a"] = 2
    first.save()
    second.preferences["b"] = 2
    second.save()
    return w.user.objects.get(pk=first.pk).preferences


@operation
def a_stale_instance_saves_another_field(w: World) -> Any:
    user = w.load({"a": 1})
    w.write_elsewhere(user.pk, {"a": 2})
    user.first_name = "Ada"
    user.save()
    return user


@operation
def a_document_written_elsewhere_in_a_transaction(w: World) -> Any:
    user = w.load()
    with transaction.atomic():
        w.write_elsewhere(user.pk, DARK)
        found = w.user.objects.get(pk=user.pk)
        found.preferences["more"] = 1
        found.save()
    return found


@operation
def autocommit_turned_off(w: World) -> Any:
    user = w.load()
    transaction.set_autocommit(False)
    try:
        user.preferences["theme"] = "dark"
        user.save()
        first = w.committed(user.pk)
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
    second = w.committed(user.pk)
    user.save()
    return first, second


@operation
def callbacks_on_commit(w: World) -> Any:
    user = w.load()
    with transaction.atomic():
        before = len(connection.run_on_commit)
        user.preferences["theme"] = "dark"
        user.save()
        w.user.objects.create(username="ada", preferences=DARK)
        w.user.objects.get(pk=user.pk).delete()
        return len(connection.run_on_commit) - before

"""When a document is stored: signals, transactions, deletions, other threads, other processes."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import DataError, IntegrityError, connections, transaction
from django.db.models.signals import ModelSignal, post_delete, post_save, pre_save

from prefs.codec import InvalidDocument
from prefs.models import UserPreferences
from project.accounts.models import User
from tests.prefs.fields.people import BEFORE, add, add_many, exactly, stored
from tests.support.stores import Place

pytestmark = pytest.mark.django_db(transaction=True)
DARK = {**BEFORE, "theme": "dark"}


@contextmanager
def receiving(signal: ModelSignal, receiver: Callable[..., Any]) -> Iterator[None]:
    """A receiver of a site's."""
    signal.connect(receiver, sender=User)
    try:
        yield
    finally:
        signal.disconnect(receiver, sender=User)


@contextmanager
def rolled_back() -> Iterator[None]:
    """A transaction that comes to nothing."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def test_what_was_read_in_a_transaction_that_was_rolled_back_is_not_taken_for_stored(
    place: Place,
) -> None:
    """Case A4: setting the same value and saving it wrote nothing."""
    user = add(place)
    with rolled_back():
        UserPreferences.objects.merge(user.pk, {"theme": "dark"})
        user.refresh_from_db()
    user.preferences = DARK
    user.save()
    assert stored(place, user) == exactly(DARK)


def test_what_was_loaded_in_a_transaction_that_was_rolled_back_is_saved(place: Place) -> None:
    """Case A4."""
    key = add(place).pk
    with rolled_back():
        UserPreferences.objects.merge(key, {"theme": "dark"})
        user = User.objects.get(pk=key)
    user.save()
    assert stored(place, user) == exactly(DARK)


def test_without_autocommit_a_rollback_is_noticed_too(place: Place) -> None:
    """Case A4."""
    user = add(place)
    transaction.set_autocommit(False)
    try:
        user.preferences["theme"] = "dark"
        user.save()
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
    assert stored(place, user) == exactly(BEFORE)
    user.save()
    assert stored(place, user) == exactly(DARK)


def test_what_was_known_of_one_user_is_not_taken_for_another_after_a_rollback(place: Place) -> None:
    """Case A4: the instance is given another user's key, and that save is rolled back."""
    one, other = add(place), add(place, {"theme": "system", "mine": 1})
    user = User.objects.get(pk=one.pk)
    with rolled_back():
        user.refresh_from_db()
        user.pk, user.username = other.pk, other.username
        user.save()
    user.save()
    assert stored(place, other) == exactly(BEFORE)


def test_reading_one_user_in_a_transaction_says_nothing_of_another(place: Place) -> None:
    """Case A5: documents were loaded together, and one of them never existed."""
    one, other = add(place), add(place)
    with rolled_back():
        UserPreferences.objects.merge(other.pk, {"theme": "dark"})
        assert one.preferences == BEFORE
    assert other.preferences == BEFORE


def test_a_receiver_of_a_deletion_reads_the_document(place: Place) -> None:
    """Case A7: DoesNotExist, and the deletion was rolled back."""
    user, seen = add(place), []
    with receiving(post_delete, lambda instance, **_: seen.append(instance.preferences)):
        user.delete()
    assert seen == [BEFORE]
    user.save()
    assert stored(place, user) == exactly(BEFORE)


def test_a_user_that_others_deleted_is_saved_whole(place: Place) -> None:
    """Case A7."""
    user = add(place)
    User.objects.filter(pk=user.pk).delete()
    user.save()
    assert stored(place, user) == exactly(BEFORE)


def test_async_code_reads_and_saves_it(place: Place) -> None:
    """Case A8: SynchronousOnlyOperation."""
    key = add(place).pk

    async def work() -> Any:
        user = await User.objects.aget(pk=key)
        user.preferences["theme"] = "dark"
        await user.asave()
        await User.objects.filter(pk=key).aupdate(first_name="Ada")
        found = [each.preferences async for each in User.objects.all()]
        await user.arefresh_from_db()
        await sync_to_async(connections.close_all)()
        return found, user.preferences, user.first_name

    assert asyncio.run(work()) == ([DARK], DARK, "Ada")


def test_pickles_name_nothing_of_ours(place: Place) -> None:
    """Case A9: the previous release knows no module prefs."""
    user = add(place)
    add_many(place, 2)
    with transaction.atomic():
        within = User.objects.get(pk=user.pk)
        within.preferences["x"] = 1
        within.save()
        for each in (user, within, User.objects.all(), list(User.objects.all())):
            text = pickle.dumps(each)
            assert b"prefs" not in text.replace(b"preferences", b"")
        text = pickle.dumps(within)
    again = pickle.loads(text)
    again.preferences["y"] = 1
    again.save()
    assert stored(place, user) == exactly({**BEFORE, "x": 1, "y": 1})


def test_a_document_becomes_again_what_it_was_loaded_as(place: Place) -> None:
    user = User.objects.get(pk=add(place).pk)
    for wanted in ({"theme": "dark"}, BEFORE):
        user.preferences = wanted
        user.save()
        user = pickle.loads(pickle.dumps(user))
        assert stored(place, user) == exactly(wanted)


def test_values_without_names_have_it(place: Place) -> None:
    """Case A11."""
    user = add(place)
    assert User.objects.values().get(pk=user.pk)["preferences"] == BEFORE
    assert BEFORE in User.objects.values_list().get(pk=user.pk)
    assert "preferences" in [field.name for field in User._meta.concrete_fields]


def test_it_can_be_read_after_an_error_in_the_transaction(place: Place) -> None:
    """Case A12: TransactionManagementError."""
    user = add(place)
    with transaction.atomic():
        with pytest.raises(IntegrityError):
            User.objects.create(pk=user.pk, username="other")
        assert user.preferences == BEFORE
        transaction.set_rollback(True)


def test_a_receiver_of_a_save_comes_after_the_commit(place: Place) -> None:
    """Case A13: in autocommit a durable block was refused, others saw the old row."""
    user, seen = add(place), []

    def look() -> None:
        seen.append(UserPreferences.objects.document(user.pk))
        connections.close_all()

    def receive(**_: Any) -> None:
        with transaction.atomic(durable=True):
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
        raise KeyError

    user.preferences["theme"] = "dark"
    with receiving(post_save, receive), pytest.raises(KeyError):
        user.save()
    assert seen == [DARK]
    assert stored(place, user) == exactly(DARK)


def test_what_a_receiver_assigns_and_jsonb_refuses_saves_nothing(place: Place) -> None:
    """Case A14: the row was saved, and then came the error."""
    user = add(place)

    def receive(instance: User, **_: Any) -> None:
        instance.preferences = {"x": "\x00"}

    user.first_name = "Ada"
    with receiving(pre_save, receive), pytest.raises(DataError) as refused:
        user.save()
    assert isinstance(refused.value, InvalidDocument)
    again = User.objects.get(pk=user.pk)
    assert (again.first_name, again.preferences) == ("", BEFORE)

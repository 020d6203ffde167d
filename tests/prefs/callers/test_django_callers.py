"""Autocommit, durable transactions, what runs on commit, and asynchronous callers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections, transaction

from prefs.models import UserPreferences
from tests.prefs.callers.writing import every_write
from tests.support import stores
from tests.support.sessions import second_session
from tests.support.stores import Place

T = TypeVar("T")
BEFORE = {"theme": "light"}
preferences = UserPreferences.objects


def a_user(place: Place) -> int:
    return stores.insert_user(place, json.dumps(BEFORE))


@every_write
def test_in_autocommit_a_write_is_committed_when_it_returns(place: Place, write: Any) -> None:
    user = a_user(place)
    with second_session() as session:
        write(user, {"a": 1})
        assert session.run(partial(preferences.document, user)) == {**BEFORE, "a": 1}
    assert connection.get_autocommit()


@every_write
def test_with_autocommit_off_a_write_is_the_caller_s_to_commit(place: Place, write: Any) -> None:
    user = a_user(place)
    transaction.set_autocommit(False)
    try:
        write(user, {"lost": 1})
        transaction.rollback()
        write(user, {"kept": 1})
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    assert preferences.document(user) == {**BEFORE, "kept": 1}
    assert not place.route.mirrored or not stores.differ(user)


@every_write
def test_in_a_durable_transaction(place: Place, write: Any) -> None:
    user = a_user(place)
    with transaction.atomic(durable=True):
        write(user, {"a": 1})
        write(user, {"b": 2})
    assert preferences.document(user) == {**BEFORE, "a": 1, "b": 2}


@every_write
def test_on_commit_sees_the_write_and_may_write(place: Place, write: Any) -> None:
    user = a_user(place)
    seen: list[Any] = []

    def after() -> None:
        seen.append(preferences.document(user))
        write(user, {"after": 1})

    with transaction.atomic():
        transaction.on_commit(after)
        write(user, {"before": 1})
        assert seen == []
    assert seen == [{**BEFORE, "before": 1}]
    assert preferences.document(user) == {**BEFORE, "before": 1, "after": 1}


def test_on_commit_of_an_undone_savepoint_does_not_run(place: Place) -> None:
    user = a_user(place)
    with transaction.atomic():
        with transaction.atomic():
            preferences.merge(user, {"undone": 1})
            transaction.on_commit(lambda: pytest.fail("its write was undone"))
            transaction.set_rollback(True)
        preferences.merge(user, {"kept": 1})
    assert preferences.document(user) == {**BEFORE, "kept": 1}


@every_write
def test_many_asynchronous_callers_lose_nothing(place: Place, write: Any) -> None:
    """Each in a thread of its own, so with a connection of its own, which it closes."""
    user = a_user(place)

    def alone(work: Callable[[], T]) -> T:
        try:
            return work()
        finally:
            connections.close_all()

    async def call() -> Any:
        in_thread = sync_to_async(alone, thread_sensitive=False)
        await asyncio.gather(*(in_thread(partial(write, user, {str(n): n})) for n in range(8)))
        return await in_thread(partial(preferences.document, user))

    assert asyncio.run(call()) == {**BEFORE, **{str(n): n for n in range(8)}}

"""Instances in several sessions at once: nobody's leaf is lost, in any route."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import transaction
from django.db.models import IntegerField
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, JSONObject

from prefs import fields, instances
from prefs.difference import replacement
from prefs.models import UserPreferences
from project.accounts.models import User
from tests.prefs.fields.people import BEFORE, add, add_many, exactly, stored
from tests.support.places import EnterRoute
from tests.support.sessions import PATIENCE, second_session, waits_behind_us
from tests.support.stores import Place

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 5
ALONE: Any = ["preferences"]
# Of no type, because mypy knows no field without a column.
USERS: Any = User.objects


def set_leaf(user: User, name: str, value: Any) -> None:
    user.preferences[name] = value
    user.save()


def both_saved(place: Place) -> str:
    """Two instances loaded before either is saved; the second waits behind the first."""
    one = add(place)
    with second_session() as session:
        other = session.run(lambda: User.objects.get(pk=one.pk))
        session.run(lambda: other.preferences)
        with transaction.atomic():
            set_leaf(one, "theme", "dark")
            saving = session.start(partial(set_leaf, other, "language", "de"))
            assert waits_behind_us(session, saving)
        saving.result(PATIENCE)
    return stored(place, one)


def test_stale_instances_that_change_different_leaves_both_survive(place: Place) -> None:
    assert both_saved(place) == exactly({**BEFORE, "theme": "dark", "language": "de"})


def test_that_check_notices_a_save_of_the_whole_document(
    in_route: EnterRoute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instances, "difference", lambda _, after: replacement(after))
    assert both_saved(in_route(Place.BLOB)) == exactly({**BEFORE, "language": "de"})


def count_up(key: int) -> None:
    """Read, add and save under the row's lock."""
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=key)
        user.preferences["count"] = user.preferences.get("count", 0) + 1
        user.save(update_fields=ALONE)


def count_up_in_values(key: int) -> None:
    """The same by values and update."""
    with transaction.atomic():
        locked = User.objects.select_for_update().filter(pk=key)
        document: Any = locked.values_list("preferences", flat=True).get()
        document["count"] = document.get("count", 0) + 1
        USERS.filter(pk=key).update(preferences=document)


def count_up_refreshed(key: int) -> None:
    """The same by an instance that was loaded and read before the lock."""
    user = User.objects.get(pk=key)
    assert user.preferences is not None
    with transaction.atomic():
        user.refresh_from_db(from_queryset=User.objects.select_for_update())
        user.preferences["count"] = user.preferences.get("count", 0) + 1
        user.save()


ONE_MORE = JSONObject(count=Cast(KT("preferences__count"), IntegerField()) + 1)


def count_up_by_expression(key: int) -> None:
    """The same by an expression that is saved, without an earlier lock."""
    with transaction.atomic():
        user: Any = User.objects.get(pk=key)
        user.preferences = ONE_MORE
        user.save(update_fields=ALONE)


def count_up_by_update(key: int) -> None:
    """The same by an expression in an update."""
    with transaction.atomic():
        USERS.filter(pk=key).update(preferences=ONE_MORE)


COUNTERS = {
    "expression": count_up_by_expression,
    "update": count_up_by_update,
    "instances": count_up,
    "values": count_up_in_values,
    "refreshed": count_up_refreshed,
}


def counted(key: int, count: Callable[[int], None]) -> Any:
    """What two sessions come to that count in turns, each while the other waits for the lock."""
    with second_session() as session:
        for _ in range(ROUNDS):
            with transaction.atomic():
                count(key)
                waiting = session.start(partial(count, key))
                assert waits_behind_us(session, waiting)
            waiting.result(PATIENCE)
    return UserPreferences.objects.document(key)["count"]


@pytest.mark.parametrize("name", COUNTERS)
def test_the_document_is_read_after_the_lock(place: Place, name: str) -> None:
    assert counted(add(place, {"count": 0}).pk, COUNTERS[name]) == 2 * ROUNDS


@pytest.mark.parametrize("place_", [Place.BLOB, Place.TABLES], ids=lambda place: place.name)
def test_that_check_notices_a_document_read_with_the_lock(
    in_route: EnterRoute, place_: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefs.querysets._names_documents", lambda _: False)
    user = add(in_route(place_), {"count": 0})
    assert counted(user.pk, count_up_in_values) < 2 * ROUNDS


@pytest.mark.parametrize("place_", [Place.BLOB, Place.TABLES], ids=lambda place: place.name)
def test_that_check_notices_a_document_loaded_with_the_lock(
    in_route: EnterRoute, place_: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefs.fields.DocumentCol._is_locked", lambda *_: False)
    user = add(in_route(place_), {"count": 0})
    assert counted(user.pk, count_up) < 2 * ROUNDS


def test_an_update_waits_and_chooses_by_what_is_there_then(place: Place) -> None:
    first, second = add_many(place, 2)
    dark = USERS.filter(preferences__n=0)
    with second_session() as session:
        with transaction.atomic():
            UserPreferences.objects.merge(first, {"n": 5})
            update = session.start(lambda: dark.update(preferences={"updated": True}))
            assert waits_behind_us(session, update)
        assert update.result(PATIENCE) == 0
    assert [stored(place, key) for key in (first, second)] == [exactly({"n": 5}), exactly({"n": 1})]


BY_DOCUMENT: dict[str, Callable[[Any], Any]] = {
    "another field": lambda users: users.filter(preferences__theme="light").update(first_name="A"),
    "a document": lambda users: users.filter(preferences__theme="light").update(preferences={}),
    "a deletion": lambda users: users.filter(preferences__theme="light")._raw_delete("default"),
}


@pytest.mark.parametrize("name", BY_DOCUMENT)
def test_rows_that_are_chosen_by_documents_are_chosen_after_the_wait(
    place: Place, name: str
) -> None:
    user = add(place)
    with second_session() as session:
        with transaction.atomic():
            UserPreferences.objects.merge(user.pk, {"theme": "dark"})
            other = session.start(lambda: BY_DOCUMENT[name](USERS))
            assert waits_behind_us(session, other)
        assert other.result(PATIENCE) == 0
    assert USERS.get().preferences["theme"] == "dark"
    assert USERS.get().first_name == ""


def test_a_field_that_is_made_of_a_document_is_made_after_the_wait(place: Place) -> None:
    user = add(place)
    with second_session() as session:
        with transaction.atomic():
            UserPreferences.objects.merge(user.pk, {"theme": "dark"})
            other = session.start(lambda: USERS.update(first_name=KT("preferences__theme")))
            assert waits_behind_us(session, other)
        assert other.result(PATIENCE) == 1
    assert USERS.get().first_name == "dark"


def test_updates_and_saves_of_several_users_do_not_deadlock(place: Place) -> None:
    ids = add_many(place, 4)
    with second_session() as session:
        for number in range(ROUNDS):
            users = [User.objects.get(pk=key) for key in reversed(ids)]
            for user in users:
                user.preferences["bulk"] = number
            other = session.start(
                lambda: USERS.order_by("-pk").update(preferences={"updated": True})
            )
            USERS.bulk_update(users, ["preferences"])
            assert other.result(PATIENCE) == 4
    for key in ids:
        assert set(UserPreferences.objects.document(key)) <= {"updated", "bulk", "n"}
        stored(place, key)


def test_the_field_is_the_one_that_the_site_declares() -> None:
    assert isinstance(User._meta.get_field("preferences"), fields.PreferencesField)

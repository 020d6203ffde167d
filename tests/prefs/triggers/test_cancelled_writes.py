"""BEFORE triggers of the site's that cancel our UPDATE of users, or have another blob stored.

What a write returns is stored; where it is not, the write is an error that names the user, and
nothing of it is left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction

from prefs.engine.batches import Control, UserRefused
from prefs.engine.corrections import Correction, correct, correct_users
from prefs.engine.repair import Direction, overwrite_mirror
from prefs.engine.states import State
from prefs.models import Transition, UserPreferences
from tests.prefs.triggers.raw import refused, update_at_once
from tests.support import site_triggers, stores
from tests.support.places import EnterRoute
from tests.support.steps import (
    ALIAS,
    SOON,
    add_users,
    blob_texts,
    copy_all,
    differences,
    go,
    run_once,
    state,
    take,
)
from tests.support.stores import Place, query

Write = Callable[[int], Any]
BEFORE = '{"theme": "light", "items_per_page": 10.0, "beta": 1}'
FLAG = Correction(leaf="items_per_page", value="10.0", new="10")


def merge(user: int) -> Any:
    return UserPreferences.objects.merge(user, {"theme": "dark"})


def replace(user: int) -> Any:
    return UserPreferences.objects.replace(user, {"theme": "dark"})


def change(user: int) -> Any:
    return UserPreferences.objects.change({user: {"theme": ["dark"]}})


def save(user: int) -> Any:
    found = get_user_model()._default_manager.get(pk=user)
    found.preferences["theme"] = "dark"
    found.save()


def update(user: int) -> Any:
    users: Any = get_user_model()._default_manager
    users.filter(pk=user).update(preferences={"theme": "dark"})


def save_a_row(user: int) -> Any:
    UserPreferences(user_id=user, theme="dark").save()


def update_rows(user: int) -> Any:
    UserPreferences.objects.bulk_update([UserPreferences(user_id=user, theme="dark")], ["theme"])


def correct_one(user: int) -> Any:
    with transaction.atomic(), connection.cursor() as cursor:
        correct_users(cursor, [user], FLAG)


WRITES: list[Write] = [merge, replace, change, save, update, save_a_row, update_rows, correct_one]
every_write = pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
writes_blob = pytest.mark.parametrize(
    "place", [place for place in Place if place.route.writes_blob]
)


def said(user: int) -> str:
    return f"the preferences of user {user} were not stored: a trigger of the users table kept"


@pytest.mark.django_db
@every_write
@writes_blob
def test_a_write_that_is_cancelled_is_an_error_and_nothing_is_stored(
    in_route: EnterRoute, place: Place, write: Write
) -> None:
    """Case B9."""
    user = stores.insert_user(in_route(place), BEFORE)
    site_triggers.before_row("cancels")
    before = stores.versions(user)
    with transaction.atomic():
        for _ in range(2):
            with refused(said(user), "Disable that trigger", state="27000"):
                write(user)
        # The caller's transaction is as usable as before.
        query("UPDATE accounts_user SET last_name = 'x' WHERE id = %s", [user])
    del before["accounts_user"]
    assert stores.versions(user).items() >= before.items()
    assert UserPreferences.objects.document_text(user) == stores.as_jsonb(BEFORE)


@pytest.mark.django_db
@pytest.mark.parametrize("write", WRITES[:4], ids=lambda write: write.__name__)
@pytest.mark.parametrize("does", site_triggers.BEFORE_ROW)
def test_where_no_blob_is_written_no_trigger_on_it_is_asked(
    in_route: EnterRoute, does: str, write: Write
) -> None:
    """Case B9."""
    user = stores.insert_user(in_route(Place.TABLES), BEFORE)
    site_triggers.before_row(does)
    write(user)
    assert UserPreferences.objects.document(user)["theme"] == "dark"


@pytest.mark.django_db
@writes_blob
def test_a_write_that_changes_nothing_needs_no_update(in_route: EnterRoute, place: Place) -> None:
    """Case B9."""
    user = stores.insert_user(in_route(place), BEFORE)
    site_triggers.before_row("cancels")
    assert UserPreferences.objects.merge(user, {"theme": "light"})["theme"] == "light"
    assert UserPreferences.objects.change({user: {"theme": ["light"]}}) == {
        user: stores.as_jsonb(BEFORE)
    }


@pytest.mark.django_db
@pytest.mark.parametrize("write", [merge, replace], ids=lambda write: write.__name__)
@pytest.mark.parametrize("place", [Place.BLOB, Place.BLOB_MIRRORED])
@pytest.mark.parametrize("does", ["alters", "keeps it as it was"])
def test_where_the_blob_is_read_a_write_returns_what_a_trigger_had_stored(
    in_route: EnterRoute, does: str, place: Place, write: Write
) -> None:
    """Case B9."""
    user = stores.insert_user(in_route(place), BEFORE)
    site_triggers.before_row(does)
    found = write(user)
    assert found == UserPreferences.objects.document(user)
    assert found["theme"] == ("system" if does == "alters" else "light")
    assert place is Place.BLOB or not stores.differ(user)


@pytest.mark.django_db
@pytest.mark.parametrize("place", [Place.BLOB, Place.BLOB_MIRRORED])
def test_a_change_of_many_users_returns_it_too(in_route: EnterRoute, place: Place) -> None:
    """Case B9."""
    users = stores.insert_users(in_route(place), [BEFORE] * 3)
    site_triggers.before_row("alters")
    found = UserPreferences.objects.change({user: {"theme": ["dark"]} for user in users})
    assert found == {user: stores.blob_text(user) for user in users}
    assert all('"stamp": 1.0' in str(text) for text in found.values())


@pytest.mark.django_db
@every_write
@pytest.mark.parametrize("does", ["alters", "keeps it as it was"])
def test_where_the_tables_are_read_another_blob_than_theirs_is_refused(
    in_route: EnterRoute, does: str, write: Write
) -> None:
    """Case B9, and B2: it would part the two stores."""
    user = stores.insert_user(in_route(Place.TABLES_MIRRORED), BEFORE)
    site_triggers.before_row(does)
    with refused(said(user), state="27000"):
        write(user)
    assert UserPreferences.objects.document_text(user) == stores.as_jsonb(BEFORE)
    assert not stores.differ(user)


@pytest.mark.django_db
@pytest.mark.parametrize("does", site_triggers.BEFORE_ROW)
def test_a_raw_write_is_mirrored_as_a_trigger_had_it_stored(
    mirrored_place: Place, does: str
) -> None:
    """Case B9."""
    user = stores.insert_user(mirrored_place, BEFORE)
    site_triggers.before_row(does)
    update_at_once([user])
    assert not stores.differ(user)


@pytest.mark.django_db
@pytest.mark.parametrize("does", site_triggers.BEFORE_ROW)
def test_a_blob_that_is_overwritten_by_the_tables_is_stored_or_it_is_an_error(
    in_route: EnterRoute, does: str
) -> None:
    """Case B9."""
    users = stores.insert_users(in_route(Place.TABLES_MIRRORED), [BEFORE] * 3)
    stores.fill_blob(users[1], '{"theme": "dark"}')
    site_triggers.before_row(does)
    for _ in range(2):
        with refused(said(users[1]), state="27000"), connection.cursor() as cursor:
            overwrite_mirror(cursor, users, Direction.REVERSE)
    site_triggers.remove("site")
    with connection.cursor() as cursor:
        assert overwrite_mirror(cursor, users, Direction.REVERSE) == 3
    assert not any(stores.differ(user) for user in users)


def test_a_reverse_backfill_stops_at_the_user_whom_a_trigger_cancels(site: str) -> None:
    """Case B9."""
    users = add_users(*({"theme": "dark"} for _ in range(20)))
    go(State.MIRROR_OFF)
    for user in users:
        UserPreferences.objects.merge(user, {"theme": "light"})
    take(State.READ_CUTOVER, forward=False)
    cancels = f"IF NEW.id = {users[13]} THEN RETURN NULL; END IF; RETURN NEW;"
    site_triggers.create("site", "BEFORE UPDATE ON accounts_user FOR EACH ROW", cancels)
    with pytest.raises(UserRefused, match=f"at user {users[13]}, .*: {said(users[13])}"):
        run_once(Direction.REVERSE)
    assert differences() == users[13:]
    site_triggers.remove("site")
    run_once(Direction.REVERSE)
    assert differences() == []


def test_a_restored_column_that_a_trigger_leaves_empty_is_not_settled(site: str) -> None:
    """Case B9."""
    [user] = add_users({"theme": "dark"})
    go(State.DROPPED)
    site_triggers.create(
        "site", "BEFORE UPDATE ON accounts_user FOR EACH ROW", site_triggers.BEFORE_ROW["cancels"]
    )
    with pytest.raises(UserRefused, match=said(user)):
        take(State.MIRROR_OFF, forward=False)
    assert Transition.objects.latest("id").settled_at is None
    site_triggers.remove("site")
    take(State.MIRROR_OFF, forward=False)
    assert (state(), blob_texts()) == (State.MIRROR_OFF, ['{"theme": "dark"}'])


def test_a_correction_of_everybody_stops_at_the_user_whom_a_trigger_cancels(site: str) -> None:
    """Case B9."""
    users = add_users({"items_per_page": "x"}, {"items_per_page": "x"})
    copy_all()
    site_triggers.before_row("cancels")
    correction = Correction(leaf="items_per_page", new="10")
    with pytest.raises(UserRefused, match=said(users[0])):
        correct(ALIAS, correction, SOON, Control())
    site_triggers.remove("site")
    assert correct(ALIAS, correction, SOON, Control()).users == 2

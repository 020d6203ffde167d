"""Triggers of the site's that write the blob beside us: both stores hold what is stored.

Where the blob is read they are mirrored, whatever they are called; where the tables are read what
cannot be mirrored is refused. The stores are never parted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, transaction

from prefs.models import UserPreferences
from tests.prefs.triggers.raw import (
    AFTER,
    BEFORE,
    INSERTS,
    Write,
    refused,
    update_at_once,
    update_in_a_block,
    upsert,
)
from tests.support import site_triggers, stores
from tests.support.places import EnterRoute
from tests.support.stores import Place, query

pytestmark = pytest.mark.django_db


TAKES_AWAY = ("moves the key", "moves the key and stamps", "deletes the row")


def merge(users: list[int]) -> Any:
    return UserPreferences.objects.merge(users[0], {"theme": "dark", "beta": 2})


def replace(users: list[int]) -> Any:
    return UserPreferences.objects.replace(users[0], {"theme": "dark", "beta": 2})


def change(users: list[int]) -> Any:
    return UserPreferences.objects.change({user: {"theme": ["dark"]} for user in users})


def save(users: list[int]) -> Any:
    user = get_user_model()._default_manager.get(pk=users[0])
    user.preferences["theme"] = "dark"
    user.save()


def update_the_key_as_well(users: list[int]) -> None:
    query(
        "UPDATE accounts_user SET id = id + 5000000, preferences = %s::jsonb WHERE id = ANY(%s)",
        [AFTER, users],
    )


OURS: list[Write] = [merge, replace, change, save]
RAW: list[Write] = [update_at_once, upsert, update_in_a_block, update_the_key_as_well]
every_insert = pytest.mark.parametrize("write", INSERTS, ids=lambda write: write.__name__)
ours = pytest.mark.parametrize("write", OURS, ids=lambda write: write.__name__)
before_and_after_ours = pytest.mark.parametrize("name", site_triggers.NAMES)
whatever_it_does = pytest.mark.parametrize("does", site_triggers.AFTER_ROW)


def keys() -> list[int]:
    return [key for (key,) in query("SELECT id FROM accounts_user ORDER BY id")]


def parted() -> list[int]:
    """Who is not the same in both stores, whatever their keys are by now."""
    return [key for key in keys() if stores.differ(key)]


def written(write: Callable[[], object]) -> bool:
    """Whether a write went through; refused, it changed nothing, and the transaction goes on."""
    before = query("SELECT id, preferences::text FROM accounts_user ORDER BY id")
    tables = [stores.tables_text(key) for key, _ in before]
    try:
        with transaction.atomic():
            write()
    except (OperationalError, psycopg.OperationalError) as error:
        # COPY is psycopg's own, and so are its errors.
        if getattr(error.__cause__ or error, "sqlstate", "") not in ("27000", "55000"):
            raise
        assert query("SELECT id, preferences::text FROM accounts_user ORDER BY id") == before
        assert [stores.tables_text(key) for key, _ in before] == tables
        return False
    return True


def twice(write: Write, place: Place) -> bool:
    """Whether a write of new users went through; and again, if they are still there.

    In no case is anybody's one store not the other.
    """
    users = stores.insert_users(place, [BEFORE] * 3)
    through = written(lambda: write(users))
    assert parted() == []
    if set(users) <= set(keys()):
        assert written(lambda: write(users)) is through
        assert parted() == []
    return through


@whatever_it_does
@before_and_after_ours
def test_where_the_blob_is_read_what_is_stored_is_mirrored(
    in_route: EnterRoute, name: str, does: str
) -> None:
    """Case B2."""
    in_route(Place.BLOB_MIRRORED)
    site_triggers.after_row(name, does)
    for write in RAW:
        assert twice(write, Place.BLOB_MIRRORED)
    for write in OURS:
        through = twice(write, Place.BLOB_MIRRORED)
        # What a trigger takes away under our hands is not stored; `change` and `save` return no
        # document.
        if write in (merge, replace):
            assert through is (does not in TAKES_AWAY)


@whatever_it_does
@before_and_after_ours
def test_where_the_tables_are_read_it_is_mirrored_or_refused(
    in_route: EnterRoute, name: str, does: str
) -> None:
    """Case B2."""
    in_route(Place.TABLES_MIRRORED)
    site_triggers.after_row(name, does)
    for write in RAW + OURS:
        through = twice(write, Place.TABLES_MIRRORED)
        if does.startswith("stamps"):
            assert not through or write in RAW
        assert through or does != "touches another column"


@every_insert
@whatever_it_does
@before_and_after_ours
@pytest.mark.parametrize("place", [Place.BLOB_MIRRORED, Place.TABLES_MIRRORED, Place.TABLES])
def test_of_a_new_user_too(
    in_route: EnterRoute, place: Place, name: str, does: str, write: Callable[[], list[int]]
) -> None:
    """Case B2."""
    in_route(place)
    site_triggers.after_row(name, does, "INSERT OR UPDATE OF preferences")
    through = written(write)
    assert through or place is not Place.BLOB_MIRRORED
    assert parted() == []


@pytest.mark.parametrize("level", ["FOR EACH STATEMENT", "FOR EACH ROW"])
@pytest.mark.parametrize("write", [update_at_once, upsert, *OURS], ids=lambda w: w.__name__)
@before_and_after_ours
def test_a_trigger_that_writes_everybody_is_mirrored(
    in_route: EnterRoute, name: str, level: str, write: Write
) -> None:
    """Case B2."""
    users = stores.insert_users(in_route(Place.BLOB_MIRRORED), [BEFORE] * 3)
    all_of_them = f"UPDATE accounts_user SET preferences = preferences || '{site_triggers.STAMP}'"
    site_triggers.create(
        name,
        f"AFTER UPDATE OF preferences ON accounts_user {level}",
        f"IF pg_trigger_depth() = 1 THEN {all_of_them}; END IF;",
    )
    write(users)
    assert parted() == []
    assert {stores.tables_text(key) for key in keys()} == {stores.blob_text(key) for key in keys()}
    assert all('"stamp": 1.0' in str(stores.tables_text(key)) for key in keys())


@before_and_after_ours
@pytest.mark.parametrize("place", [Place.BLOB, Place.BLOB_MIRRORED])
@pytest.mark.parametrize("write", [merge, replace], ids=lambda write: write.__name__)
def test_where_the_blob_is_read_a_write_returns_what_is_stored(
    in_route: EnterRoute, place: Place, name: str, write: Write
) -> None:
    """Case B2: an AFTER trigger; what a BEFORE trigger alters is in `test_cancelled_writes`."""
    users = stores.insert_users(in_route(place), [BEFORE])
    site_triggers.after_row(name, "stamps two levels deep")
    found = write(users)
    assert (found["stamp"], found["again"], found["theme"]) == (1.0, 2, "system")
    assert found == UserPreferences.objects.document(users[0])


@ours
@before_and_after_ours
def test_where_the_tables_are_read_the_refusal_says_what_to_do(
    in_route: EnterRoute, name: str, write: Write
) -> None:
    """Case B2."""
    users = stores.insert_users(in_route(Place.TABLES_MIRRORED), [BEFORE] * 3)
    site_triggers.after_row(name, "stamps")
    with refused(
        f"a trigger changed the column preferences of user {users[0]}, which a statement is",
        "disable it, or run manage.py rollback_prefs",
        state="27000",
    ):
        write(users)


def test_where_the_tables_are_read_a_raw_write_captured_too_late_is_refused(
    in_route: EnterRoute,
) -> None:
    """Case B2."""
    users = stores.insert_users(in_route(Place.TABLES_MIRRORED), [BEFORE])
    site_triggers.after_row("a_site", "stamps")
    with refused(f"a trigger changed the column preferences of user {users[0]}", state="27000"):
        update_at_once(users)
    site_triggers.remove("a_site")
    site_triggers.after_row("a_site", "moves the key")
    with refused(f"a trigger gave user {users[0]} the key {users[0] + 1_000_000}", state="27000"):
        update_at_once(users)


def test_of_its_own_accord_a_trigger_writes_the_blob_as_everybody_else_does(
    mirrored_place: Place,
) -> None:
    """Case B2: the statement that it fires for writes another column."""
    user = stores.insert_user(mirrored_place, BEFORE)
    site_triggers.after_row("a_site", "stamps", "UPDATE OF last_name")
    query("UPDATE accounts_user SET last_name = 'x' WHERE id = %s", [user])
    assert '"stamp": 1.0' in str(stores.tables_text(user))
    assert parted() == []


@before_and_after_ours
def test_beside_a_write_of_ours_no_trigger_writes_a_typed_row(
    in_route: EnterRoute, name: str
) -> None:
    """Case B2: what a trigger sends has the time of our statement, but not its depth."""
    user = stores.insert_user(in_route(Place.TABLES_MIRRORED), BEFORE)
    site_triggers.create(
        name,
        "AFTER UPDATE OF preferences ON accounts_user FOR EACH ROW",
        "UPDATE user_preferences SET theme = 'system' WHERE user_id = NEW.id;",
    )
    with refused("UPDATE of user_preferences is refused"):
        UserPreferences.objects.merge(user, {"theme": "dark"})
    assert parted() == []


def test_a_key_alone_that_is_changed_changes_no_document(place: Place) -> None:
    """Case B2: the capture trigger fires for it, too; the foreign key cascades it."""
    user = stores.insert_user(place, BEFORE)
    query("UPDATE accounts_user SET id = id + 1000000 WHERE id = %s", [user])
    assert UserPreferences.objects.document_text(user + 1_000_000) == stores.as_jsonb(BEFORE)

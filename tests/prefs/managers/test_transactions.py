"""A write inside a caller's transaction, across flips, and at other isolation levels."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection, transaction

from prefs.codec import InvalidDocument
from prefs.managers import UnsupportedIsolation
from prefs.models import UserPreferences
from prefs.routing import Route
from tests.prefs.managers.flips import ROUNDS, merged_while_the_route_moves
from tests.support import stores
from tests.support.places import EnterRoute
from tests.support.sessions import second_session
from tests.support.stores import Place
from tests.support.tampering import turn

# A test that sets an isolation level, or commits, needs real transactions.
pytestmark = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)

BEFORE = '{"theme": "light"}'
LEVELS = ["REPEATABLE READ", "SERIALIZABLE"]


def assert_refused(user: int, level: str) -> None:
    """Both writes are refused by name, and write nothing."""
    before = stores.versions(user)
    named = f"at {level}. Nothing was written"
    with pytest.raises(UnsupportedIsolation, match=named):
        UserPreferences.objects.merge(user, {"theme": "dark"})
    with pytest.raises(UnsupportedIsolation, match=named):
        UserPreferences.objects.replace(user, {"theme": "dark"})
    assert stores.versions(user) == before


@committing
def test_a_write_in_a_transaction_at_another_level_is_refused_and_spoils_nothing(
    place: Place,
) -> None:
    user = stores.insert_user(place, BEFORE)
    for level in LEVELS:
        with transaction.atomic():
            stores.query(f"SET TRANSACTION ISOLATION LEVEL {level}")
            assert_refused(user, level)
            assert UserPreferences.objects.document(user) == {"theme": "light"}
    assert UserPreferences.objects.merge(user, {"theme": "dark"}) == {"theme": "dark"}


@pytest.fixture(params=LEVELS)
def session_level(request: pytest.FixtureRequest, transactional_db: None) -> Iterator[str]:
    """A level that the session's transactions begin at, as a role or OPTIONS would set it."""
    setting = "SET default_transaction_isolation = "
    stores.query(f"{setting} '{request.param.lower()}'")
    yield request.param
    stores.query(f"{setting} 'read committed'")


def test_a_write_of_a_session_at_another_level_is_refused(
    session_level: str, in_route: EnterRoute
) -> None:
    user = stores.insert_user(in_route(Place.BLOB_MIRRORED), BEFORE)
    assert_refused(user, session_level)
    assert UserPreferences.objects.document(user) == {"theme": "light"}


def test_several_users_are_written_in_one_transaction(place: Place) -> None:
    users = stores.insert_users(place, [BEFORE] * 3)
    with transaction.atomic():
        for number, user in enumerate(users):
            UserPreferences.objects.merge(user, {"number": number})
    assert UserPreferences.objects.documents(users) == {
        user: {"theme": "light", "number": number} for number, user in enumerate(users)
    }


def test_a_write_that_is_refused_leaves_those_before_and_after_it(place: Place) -> None:
    users = stores.insert_users(place, [BEFORE] * 3)
    with transaction.atomic():
        UserPreferences.objects.merge(users[0], {"theme": "dark"})
        with pytest.raises(InvalidDocument):
            UserPreferences.objects.merge(users[1], {"theme": "mauve"})
        UserPreferences.objects.merge(users[2], {"theme": "dark"})
    themes = [d["theme"] for _, d in sorted(UserPreferences.objects.documents(users).items())]
    assert themes == ["dark", "light", "dark"]


def test_a_rolled_back_transaction_takes_its_writes_back_from_both_stores(place: Place) -> None:
    user = stores.insert_user(place, BEFORE)
    before = stores.versions(user)
    with transaction.atomic():
        UserPreferences.objects.merge(user, {"theme": "dark", "x": 1})
        UserPreferences.objects.replace(user, {"notifications": {"sms": {"security": True}}})
        transaction.set_rollback(True)
    assert stores.versions(user) == before
    assert UserPreferences.objects.document(user) == {"theme": "light"}


def test_a_later_write_of_a_transaction_builds_on_the_earlier_one(place: Place) -> None:
    user = stores.insert_user(place, BEFORE)
    with transaction.atomic():
        UserPreferences.objects.merge(user, {"a": 1})
        assert UserPreferences.objects.document(user) == {"theme": "light", "a": 1}
        UserPreferences.objects.merge(user, {"theme": None, "b": 2})
    assert UserPreferences.objects.document(user) == {"a": 1, "b": 2}


@committing
def test_a_write_holds_the_switches_table_until_its_transaction_ends(place: Place) -> None:
    """The drain after a flip finds unfinished writers by this lock."""
    user = stores.insert_user(place, BEFORE)
    held = (
        "SELECT DISTINCT relation::regclass::text FROM pg_locks WHERE pid = pg_backend_pid()"
        " AND relation = ANY(%s::regclass[]) ORDER BY 1"
    )
    tables = ["waffle_switch", "accounts_user"]
    with transaction.atomic():
        UserPreferences.objects.merge(user, {"theme": "dark"})
        assert stores.query(held, [tables]) == [("accounts_user",), ("waffle_switch",)]
        modes = "SELECT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = %s::regclass"
        assert ("RowShareLock",) in stores.query(modes, ["accounts_user"])
    assert stores.query(held, [tables]) == []


@committing
@pytest.mark.parametrize("places", ROUNDS.values(), ids=ROUNDS.keys())
def test_writes_follow_the_route_as_it_moves(
    in_route: EnterRoute, places: tuple[Place, ...]
) -> None:
    user = stores.insert_user(in_route(places[0]), "{}")
    written, read = merged_while_the_route_moves(user, places)
    assert read == written == {f"key {number}": number for number in range(4)}


@committing
def test_a_transaction_takes_a_flip_between_two_of_its_writes(in_route: EnterRoute) -> None:
    user = stores.insert_user(in_route(Place.BLOB), "{}")
    with second_session() as session, transaction.atomic():
        UserPreferences.objects.merge(user, {"a": 1})
        assert stores.differ(user)
        session.run(lambda: turn(Route.BLOB_MIRRORED))
        UserPreferences.objects.merge(user, {"b": 2})
        assert not stores.differ(user)
    assert UserPreferences.objects.document(user) == {"a": 1, "b": 2}


@committing
def test_a_manager_of_another_alias_writes_through_that_alias(in_route: EnterRoute) -> None:
    user = stores.insert_user(in_route(Place.TABLES), BEFORE)
    manager = UserPreferences.objects.db_manager(connection.alias)
    assert manager.merge(user, {"theme": "dark"}) == {"theme": "dark"}
    assert manager.document(user) == {"theme": "dark"}

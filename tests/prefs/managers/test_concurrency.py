"""Concurrent writers, in real processes and on real connections: nobody's merge is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import OperationalError, connection, transaction

from prefs.models import UserPreferences
from prefs.sql import writes as sql
from tests.prefs.managers import workers
from tests.prefs.managers.processes import WRITERS, writers
from tests.support import stores
from tests.support.places import EnterRoute
from tests.support.sessions import (
    BOTH,
    FIRST,
    PATIENCE,
    SECOND,
    merge_behind_another,
    second_session,
    waits_behind_us,
)
from tests.support.stores import Place

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def pool(django_db_setup: None) -> Iterator[ProcessPoolExecutor]:
    """The writers' processes."""
    with writers(str(connection.settings_dict["NAME"])) as started:
        yield started


def at_once(
    pool: ProcessPoolExecutor, work: Callable[[int, list[int]], None], users: list[int]
) -> None:
    """Have every writer do `work`; all begin at one moment, when the users' locks are let go."""
    with transaction.atomic():
        stores.query("SELECT FROM accounts_user WHERE id = ANY(%s) FOR NO KEY UPDATE", [users])
        begun = [pool.submit(work, writer, users) for writer in range(WRITERS)]
        _wait_for_waiters(begun)
    for each in begun:
        each.result(2 * PATIENCE)


def _wait_for_waiters(begun: list[Future[None]]) -> None:
    deadline = time.monotonic() + 2 * PATIENCE
    waiting = 0
    while waiting < WRITERS:
        assert time.monotonic() < deadline, f"only {waiting} writers wait for the lock"
        assert not any(each.done() for each in begun), "a writer did not wait for the lock"
        time.sleep(0.01)
        stores.query("SELECT pg_stat_clear_snapshot()")
        waiting = stores.query(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )[0][0]


def test_merges_of_different_leaves_from_many_processes_all_survive(
    place: Place, pool: ProcessPoolExecutor
) -> None:
    user = stores.insert_user(place, '{"kept": true}')
    at_once(pool, workers.merge_all, [user])
    document = UserPreferences.objects.document(user)
    assert workers.lost(WRITERS, document) == []
    assert document["kept"] is True
    assert len(document) == 1 + WRITERS * workers.MERGES + 3
    if place.route.mirrored:
        assert not stores.differ(user)


def test_several_users_in_one_transaction_survive_too_and_nobody_deadlocks(
    place: Place, pool: ProcessPoolExecutor
) -> None:
    users = stores.insert_users(place, ["{}"] * 3)
    at_once(pool, workers.merge_all, users)
    for user, document in UserPreferences.objects.documents(users).items():
        assert workers.lost(WRITERS, document) == []
        assert not place.route.mirrored or not stores.differ(user)


def test_the_processes_check_notices_writers_who_merge_in_python(
    place: Place, pool: ProcessPoolExecutor
) -> None:
    user = stores.insert_user(place, "{}")
    at_once(pool, workers.merge_carelessly, [user])
    assert workers.lost(WRITERS, UserPreferences.objects.document(user)) != []


def test_a_merge_waits_for_one_uncommitted_and_sees_its_result(place: Place) -> None:
    user = stores.insert_user(place, "{}")
    assert merge_behind_another(user)
    assert UserPreferences.objects.document(user) == BOTH
    if place.route.mirrored:
        assert not stores.differ(user)


def test_first_writes_of_a_user_without_rows_both_survive(table_place: Place) -> None:
    user = stores.insert_user(table_place, "{}")
    stores.delete_rows(user)
    assert merge_behind_another(user)
    assert UserPreferences.objects.document(user) == BOTH


def test_a_merge_behind_one_that_rolls_back_does_not_see_it(place: Place) -> None:
    user = stores.insert_user(place, "{}")
    with second_session() as session:
        with transaction.atomic():
            UserPreferences.objects.merge(user, FIRST)
            second = session.start(lambda: UserPreferences.objects.merge(user, SECOND))
            assert waits_behind_us(session, second)
            transaction.set_rollback(True)
        assert second.result(PATIENCE) == SECOND
    assert UserPreferences.objects.document(user) == SECOND


@pytest.mark.parametrize(
    ("raw", "after"),
    [
        (
            "UPDATE user_preferences SET language = 'fr'",
            {"theme": "dark", "compact_mode": True, "language": "fr"},
        ),
        ("DELETE FROM user_preferences", {"theme": "dark"}),
    ],
    ids=["update", "deletion"],
)
def test_a_raw_write_of_a_typed_row_comes_before_one_that_waits_for_it(
    in_route: EnterRoute, raw: str, after: object
) -> None:
    """In TABLES nothing refuses it, and it takes no user's lock."""
    user = stores.insert_user(in_route(Place.TABLES), '{"theme": "light", "compact_mode": true}')
    with second_session() as session:
        with transaction.atomic():
            stores.query(f"{raw} WHERE user_id = %s", [user])
            merge = partial(UserPreferences.objects.merge, user, {"theme": "dark"})
            waiting = session.start(merge)
            assert waits_behind_us(session, waiting)
        assert waiting.result(PATIENCE) == after
    assert UserPreferences.objects.document(user) == after


def test_readers_and_writers_of_other_users_do_not_wait(place: Place) -> None:
    user, other = stores.insert_users(place, ["{}", "{}"])
    with second_session() as session, transaction.atomic():
        UserPreferences.objects.merge(user, FIRST)
        assert session.run(lambda: UserPreferences.objects.document(user)) == {}
        assert session.run(lambda: UserPreferences.objects.merge(other, SECOND)) == SECOND


def add_to_group(user: int) -> None:
    """Insert a row that refers to the user; fail rather than wait long for their lock."""
    group = Group.objects.create(name=f"group of {user}")
    with transaction.atomic():
        stores.query("SET LOCAL lock_timeout = '500ms'")
        get_user_model().objects.get(pk=user).groups.add(group)
        stores.query("SET CONSTRAINTS ALL IMMEDIATE")


def test_a_row_that_refers_to_the_user_can_be_inserted_during_a_write(place: Place) -> None:
    user = stores.insert_user(place, "{}")
    with second_session() as session, transaction.atomic():
        UserPreferences.objects.merge(user, FIRST)
        session.run(lambda: add_to_group(user))


def test_that_check_notices_a_lock_that_foreign_keys_wait_for(
    in_route: EnterRoute, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = stores.insert_user(in_route(Place.BLOB_MIRRORED), "{}")
    stronger = sql.lock().replace("FOR NO KEY UPDATE", "FOR UPDATE")
    monkeypatch.setattr(sql, "lock", lambda: stronger)
    with second_session() as session, transaction.atomic():
        UserPreferences.objects.merge(user, FIRST)
        with pytest.raises(OperationalError, match="lock timeout"):
            session.run(lambda: add_to_group(user))


def test_deleting_a_user_waits_for_a_write_and_then_deletes(place: Place) -> None:
    user = stores.insert_user(place, "{}")
    with second_session() as session:
        with transaction.atomic():
            UserPreferences.objects.merge(user, FIRST)
            deletion = session.start(get_user_model().objects.get(pk=user).delete)
            assert waits_behind_us(session, deletion)
        deletion.result(PATIENCE)
    assert UserPreferences.objects.documents([user]) == {}
    assert list(stores.versions(user).values()) == [[], [], []]


def test_a_write_behind_a_deletion_finds_no_such_user(place: Place) -> None:
    user = stores.insert_user(place, "{}")
    with second_session() as session:
        with transaction.atomic():
            get_user_model().objects.get(pk=user).delete()
            write = session.start(lambda: UserPreferences.objects.merge(user, SECOND))
            assert waits_behind_us(session, write)
        with pytest.raises(get_user_model().DoesNotExist):
            write.result(PATIENCE)
    assert list(stores.versions(user).values()) == [[], [], []]

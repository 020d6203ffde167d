"""A statement of ours marks itself, and no other: neither a raw write nor a later statement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from prefs.engine.repair import Direction, overwrite_mirror
from prefs.models import UserPreferences
from tests.prefs.triggers.raw import AFTER, BEFORE, refused, update_at_once
from tests.support import stores
from tests.support.places import EnterRoute
from tests.support.stores import Place, query

pytestmark = pytest.mark.django_db


def merge(user: int, place: Place) -> Any:
    return UserPreferences.objects.merge(user, {"theme": "system"})


def change(user: int, place: Place) -> Any:
    return UserPreferences.objects.change({user: {"theme": ["system"]}})


def merge_nothing(user: int, place: Place) -> Any:
    return UserPreferences.objects.merge(user, {})


def repair(user: int, place: Place) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        overwrite_mirror(cursor, [user], Direction.of(place.route))


def merge_and_roll_back(user: int, place: Place) -> None:
    with transaction.atomic():
        merge(user, place)
        transaction.set_rollback(True)


OURS = [merge, change, merge_nothing, repair, merge_and_roll_back]
ours = pytest.mark.parametrize("write", OURS, ids=lambda write: write.__name__)
Ours = Callable[[int, Place], Any]


@ours
def test_after_ours_a_raw_write_of_a_typed_row_is_refused(
    mirrored_place: Place, write: Ours
) -> None:
    user = stores.insert_user(mirrored_place, BEFORE)
    write(user, mirrored_place)
    with refused("UPDATE of user_preferences is refused"):
        query("UPDATE user_preferences SET theme = 'dark' WHERE user_id = %s", [user])
    assert not stores.differ(user)


@ours
def test_after_ours_a_raw_write_of_the_blob_is_captured(mirrored_place: Place, write: Ours) -> None:
    users = stores.insert_users(mirrored_place, [BEFORE] * 3)
    write(users[0], mirrored_place)
    update_at_once(users)
    for user in users:
        assert stores.tables_text(user) == stores.as_jsonb(AFTER)
        assert not stores.differ(user)


def test_a_raw_write_of_the_blob_lets_no_raw_write_of_a_typed_row_through(
    mirrored_place: Place,
) -> None:
    user = stores.insert_user(mirrored_place, BEFORE)
    update_at_once([user])
    with refused("UPDATE of notification_preferences is refused"):
        query("UPDATE notification_preferences SET push_mentions = true")
    assert not stores.differ(user)


TOGETHER = {
    "an update": 'UPDATE accounts_user SET preferences = \'{{"theme": "dark"}}\' WHERE id = {0};',
    "an insert": "INSERT INTO accounts_user (username, password, first_name, last_name, email,"
    " is_superuser, is_staff, is_active, date_joined)"
    " VALUES ('x', '', '', '', '', false, false, true, now());",
    "a deletion": "DELETE FROM accounts_user WHERE id = {1};",
    "a new key": "UPDATE accounts_user SET id = id + 1000000 WHERE id = {1};",
}
SENT = {"one message": "{0} {1}", "one block": "DO $block$ BEGIN {0} {1} END $block$"}


@pytest.mark.parametrize("first", TOGETHER)
@pytest.mark.parametrize("sent", SENT)
def test_nor_does_a_write_of_users_that_is_sent_together_with_it(
    mirrored_place: Place, first: str, sent: str
) -> None:
    """What is sent as one message has one time, and so the same mark."""
    users = stores.insert_users(mirrored_place, [BEFORE] * 2)
    raw = f"UPDATE user_preferences SET theme = 'system' WHERE user_id = {users[0]};"
    with refused("UPDATE of user_preferences is refused"):
        query(SENT[sent].format(TOGETHER[first].format(*users), raw))
    assert not stores.differ(users[0])


def test_nor_does_a_trigger_of_the_site_s_own(mirrored_place: Place) -> None:
    user = stores.insert_user(mirrored_place, BEFORE)
    query(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
        " UPDATE user_preferences SET theme = 'system'; RETURN NULL; END$$"
    )
    query(
        "CREATE TRIGGER meddle AFTER UPDATE OF last_name ON accounts_user"
        " FOR EACH ROW EXECUTE FUNCTION meddle()"
    )
    with refused("UPDATE of user_preferences is refused"):
        query("UPDATE accounts_user SET last_name = 'x' WHERE id = %s", [user])
    assert not stores.differ(user)


def test_a_write_of_ours_writes_each_store_once(mirrored_place: Place) -> None:
    user = stores.insert_user(mirrored_place, BEFORE)
    assert writes_of(lambda: merge(user, mirrored_place)) == 1
    assert writes_of(lambda: change(user, mirrored_place)) <= 1
    assert not stores.differ(user)


def writes_of(work: Callable[[], object]) -> int:
    """How many updates and upserts of `user_preferences` a piece of work makes."""
    query("CREATE TABLE counted ()")
    query(
        "CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
        " $$BEGIN INSERT INTO public.counted DEFAULT VALUES; RETURN NULL; END$$"
    )
    query(
        "CREATE TRIGGER count_it AFTER UPDATE ON user_preferences"
        " FOR EACH STATEMENT EXECUTE FUNCTION count_it()"
    )
    work()
    [(count,)] = query("SELECT count(*) FROM counted")
    query("DROP TABLE counted")
    query("DROP FUNCTION count_it CASCADE")
    return int(count)


def test_a_mark_left_over_in_the_session_says_nothing(in_route: EnterRoute) -> None:
    user = stores.insert_user(in_route(Place.TABLES_MIRRORED), BEFORE)
    query("SELECT set_config('prefs.writing', concat(statement_timestamp(), ' 0'), false)")
    update_at_once([user])
    assert not stores.differ(user)
    query("SELECT set_config('prefs.writing', concat(statement_timestamp(), ' 0'), false)")
    with refused("DELETE of user_preferences is refused"):
        query("DELETE FROM user_preferences")

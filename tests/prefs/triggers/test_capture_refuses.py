"""A write of the blob that cannot be mirrored, or would be lost, is refused with a sentence."""

from __future__ import annotations

import pytest
from django.db import NotSupportedError, transaction

from prefs.models import UserPreferences
from prefs.routing import SWITCHES
from tests.prefs.triggers.raw import AFTER, BEFORE, UPDATES, Write, insert, refused, update_at_once
from tests.support import steps, stores
from tests.support.places import EnterRoute
from tests.support.stores import Place, query
from tests.support.tampering import remove_switches

every_update = pytest.mark.parametrize("write", UPDATES, ids=lambda write: write.__name__)


@pytest.mark.django_db
@every_update
def test_where_the_tables_alone_are_written_an_update_of_the_blob_is_refused(
    in_route: EnterRoute, write: Write
) -> None:
    users = stores.insert_users(in_route(Place.TABLES), [BEFORE] * 2)
    before = [stores.versions(user) for user in users]
    with refused(
        f"the column preferences of user {users[0]} is no longer written",
        "UserPreferences.objects",
        "manage.py rollback_prefs",
    ):
        write(users)
    assert [stores.versions(user) for user in users] == before


@pytest.mark.django_db
def test_a_write_of_ours_does_not_let_a_raw_one_through(in_route: EnterRoute) -> None:
    user = stores.insert_user(in_route(Place.TABLES), BEFORE)
    UserPreferences.objects.merge(user, {"theme": "dark"})
    with refused("is no longer written"):
        update_at_once([user])


@pytest.mark.django_db
@pytest.mark.parametrize("missing", [SWITCHES[:1], SWITCHES[1:], SWITCHES], ids=" and ".join)
def test_without_a_switch_row_no_blob_is_written(
    in_route: EnterRoute, missing: tuple[str, ...]
) -> None:
    user = stores.insert_user(in_route(Place.BLOB_MIRRORED), BEFORE)
    remove_switches(*missing)
    for write in (lambda: update_at_once([user]), insert):
        with refused("a waffle switch of the preferences migration is missing", *SWITCHES):
            write()
    query("UPDATE accounts_user SET last_name = 'x' WHERE id = %s", [user])
    assert stores.blob_text(user) == stores.as_jsonb(BEFORE)


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("route", ["BLOB", "BLOB_MIRRORED", "TABLES_MIRRORED", "TABLES"])
def test_at_another_isolation_level_no_blob_is_written(site: str, route: str, level: str) -> None:
    place = Place[route]
    stores.enter(place)
    user = stores.insert_user(place, BEFORE)
    for write in (lambda: update_at_once([user]), insert):
        with refused(f"this transaction is at {level}", error=NotSupportedError, state="0A000"):
            query(f"SET TRANSACTION ISOLATION LEVEL {level}")
            write()
    with transaction.atomic():
        query(f"SET TRANSACTION ISOLATION LEVEL {level}")
        query("UPDATE accounts_user SET last_name = 'x', preferences = preferences")
        query("UPDATE accounts_user SET id = id + 1000000")
        query("UPDATE accounts_user SET id = id - 1000000")
    assert steps.rows("SELECT last_name, count(*) FROM accounts_user GROUP BY 1") == [("x", 1)]
    assert stores.primary_text(place, user) == stores.as_jsonb(BEFORE)


@pytest.mark.django_db
def test_of_many_rows_one_that_is_refused_stops_them_all(in_route: EnterRoute) -> None:
    users = stores.insert_users(in_route(Place.TABLES), [AFTER, BEFORE])
    query("UPDATE accounts_user SET preferences = preferences WHERE id = ANY(%s)", [users])
    with refused("is no longer written"):
        update_at_once(users)


@pytest.mark.django_db
def test_where_the_tables_are_read_a_write_to_a_blob_that_is_behind_them_is_refused(
    in_route: EnterRoute,
) -> None:
    """Whoever wrote it had read the blob, and would take back what the tables alone have."""
    user = stores.insert_user(in_route(Place.TABLES_MIRRORED), BEFORE)
    stores.fill_blob(user, '{"theme": "system"}')
    with refused(f"of user {user} was older than the tables", "backfill_prefs --reverse"):
        update_at_once([user])
    assert UserPreferences.objects.document_text(user) == stores.as_jsonb(BEFORE)
    UserPreferences.objects.merge(user, {})
    update_at_once([user])
    assert UserPreferences.objects.document_text(user) == stores.as_jsonb(AFTER)

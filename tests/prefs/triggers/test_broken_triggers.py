"""Each part of the triggers, taken away on purpose: something is lost, and seen to be lost.

What is lost here is what the other tests of this folder hold. A check that cannot fail shows
nothing.
"""

from __future__ import annotations

from functools import partial

import pytest
from django.db import ProgrammingError, transaction

from prefs.engine.batches import Control
from prefs.engine.flips import drain
from prefs.models import UserPreferences
from prefs.routing import Route
from prefs.sql.names import ANYWHERE
from prefs.sql.trigger_functions import CAPTURE, GUARD_SWITCH, TURNING
from prefs.sql.writes import is_marked, is_not_marked
from tests.prefs.triggers.raw import AFTER, BEFORE, insert, refused, update_at_once
from tests.prefs.triggers.sessions import (
    role_of_the_users_table,
    tables_of_its_own_with_our_names,
)
from tests.support import scratch, site_triggers, stores
from tests.support.altered import alter_function, alter_trigger
from tests.support.places import EnterRoute
from tests.support.sessions import PATIENCE, second_session, waits_behind_us
from tests.support.stores import Place, query
from tests.support.tampering import turn

MARKED = is_marked()
ANY_MARK = "coalesce(current_setting('prefs.writing', true), '') <> ''"
RESTORE = ("PERFORM set_config('prefs.writing', coalesce(mark, ''), true);", "")
# Whether the mark is of this time, however deep in triggers it was made.
OF_THIS_TIME = "coalesce(starts_with(mark, concat(statement_timestamp(), ' ')), false)"


@pytest.mark.django_db
def test_compared_by_jsonb_equality_another_look_of_a_number_is_lost(in_route: EnterRoute) -> None:
    user = stores.insert_user(in_route(Place.BLOB_MIRRORED), '{"n": 1}')
    compared = 'record_image_eq(ROW(old."id", old."preferences"), ROW(new."id", new."preferences"))'
    alter_trigger("prefs_capture_update", compared, "old.preferences = new.preferences")
    query("UPDATE accounts_user SET preferences = '{\"n\": 1.0}'")
    assert (stores.blob_text(user), stores.tables_text(user)) == ('{"n": 1.0}', '{"n": 1}')


@pytest.mark.django_db
def test_with_a_mark_of_the_time_alone_only_the_first_of_many_rows_is_captured(
    mirrored_place: Place,
) -> None:
    users = stores.insert_users(mirrored_place, [BEFORE] * 3)
    alter_function(CAPTURE, RESTORE, (MARKED, OF_THIS_TIME))
    update_at_once(users)
    assert sorted(stores.differ(user) for user in users) == [False, True, True]


@pytest.mark.django_db
def test_with_a_mark_of_the_time_alone_a_trigger_beside_our_write_parts_the_stores(
    in_route: EnterRoute,
) -> None:
    """Case B2."""
    user = stores.insert_user(in_route(Place.TABLES_MIRRORED), BEFORE)
    site_triggers.after_row("z_site", "stamps")
    alter_function(CAPTURE, (MARKED, OF_THIS_TIME))
    UserPreferences.objects.merge(user, {"theme": "dark"})
    assert stores.differ(user)


@pytest.mark.django_db
def test_with_the_mark_left_standing_a_trigger_s_raw_write_of_a_typed_row_goes_through(
    in_route: EnterRoute,
) -> None:
    """Case B2: what it sends is as deep as what capture sent."""
    user = stores.insert_user(in_route(Place.BLOB_MIRRORED), BEFORE)
    site_triggers.create(
        "z_site",
        "AFTER UPDATE OF preferences ON accounts_user FOR EACH ROW",
        "UPDATE user_preferences SET theme = NULL;",
    )
    alter_function(CAPTURE, RESTORE)
    update_at_once([user])
    assert stores.differ(user)


@pytest.mark.django_db
def test_taking_the_value_it_was_called_with_it_mirrors_what_is_not_stored(
    in_route: EnterRoute,
) -> None:
    """Case B2."""
    user = stores.insert_user(in_route(Place.BLOB_MIRRORED), BEFORE)
    site_triggers.after_row("a_site", "stamps")
    alter_function(CAPTURE, site_triggers.CALLED_WITH)
    update_at_once([user])
    assert stores.differ(user)


@pytest.mark.django_db
def test_deaf_to_a_new_key_it_leaves_a_user_whom_a_trigger_moved_without_typed_rows(
    in_route: EnterRoute,
) -> None:
    """Case B2."""
    in_route(Place.BLOB_MIRRORED)
    site_triggers.after_row("a_site", "moves the key", "INSERT")
    alter_trigger("prefs_capture_update", 'new."id"', 'old."id"')
    insert()
    assert [stores.differ(key) for (key,) in query("SELECT id FROM accounts_user")] == [True] * 3


@pytest.mark.django_db
def test_a_mark_of_any_time_swallows_a_raw_write_of_the_blob(in_route: EnterRoute) -> None:
    users = stores.insert_users(in_route(Place.TABLES_MIRRORED), [BEFORE] * 2)
    alter_function(CAPTURE, (MARKED, ANY_MARK))
    UserPreferences.objects.merge(users[0], {"theme": "system"})
    update_at_once(users)
    assert [stores.differ(user) for user in users] == [True, True]


@pytest.mark.django_db
def test_a_mark_of_any_time_lets_a_raw_write_of_a_typed_row_through(in_route: EnterRoute) -> None:
    user = stores.insert_user(in_route(Place.TABLES_MIRRORED), BEFORE)
    alter_trigger("prefs_guard_changed", is_not_marked(), f"NOT ({ANY_MARK})")
    UserPreferences.objects.merge(user, {"theme": "system"})
    query("UPDATE user_preferences SET theme = 'dark'")
    assert stores.differ(user)


@pytest.mark.django_db
def test_where_no_mark_is_heeded_our_own_writes_are_taken_for_raw_ones(
    in_route: EnterRoute,
) -> None:
    user = stores.insert_user(in_route(Place.TABLES_MIRRORED), BEFORE)
    alter_function(CAPTURE, (MARKED, "false"))
    with refused(f"of user {user} was older than the tables"):
        UserPreferences.objects.merge(user, {"theme": "system"})


@pytest.mark.django_db
def test_without_a_look_at_what_was_replaced_a_stale_blob_overwrites_the_tables(
    in_route: EnterRoute,
) -> None:
    user = stores.insert_user(in_route(Place.TABLES_MIRRORED), '{"theme": "dark"}')
    stores.fill_blob(user, "{}")
    alter_function(CAPTURE, ("behind := NOT record", "behind := false AND NOT record"))
    query('UPDATE accounts_user SET preferences = preferences || \'{"language": "de"}\'')
    assert UserPreferences.objects.document(user) == {"language": "de"}


@pytest.mark.django_db
def test_with_the_rights_of_whoever_writes_a_role_of_the_users_table_cannot(
    in_route: EnterRoute,
) -> None:
    user = stores.insert_user(in_route(Place.BLOB_MIRRORED), BEFORE)
    query("ALTER FUNCTION prefs_capture() SECURITY INVOKER")
    denied = pytest.raises(ProgrammingError, match="permission denied for table")
    with denied, transaction.atomic(), role_of_the_users_table():
        update_at_once([user])


@pytest.mark.django_db
def test_with_temporary_tables_first_in_its_path_a_capture_goes_into_them(
    in_route: EnterRoute,
) -> None:
    user = stores.insert_user(in_route(Place.BLOB_MIRRORED), BEFORE)
    alter_function(CAPTURE, (f"{ANYWHERE}.", ""))
    query("ALTER FUNCTION prefs_capture() SET search_path = public")
    with tables_of_its_own_with_our_names():
        query("INSERT INTO pg_temp.waffle_switch SELECT name, active FROM public.waffle_switch")
        update_at_once([user])
    assert stores.differ(user)


@pytest.mark.django_db
def test_a_permission_of_any_transaction_turns_a_switch(in_route: EnterRoute) -> None:
    in_route(Place.BLOB)
    own = f"current_setting('{TURNING}', true) = pg_current_xact_id()::text"
    alter_function(GUARD_SWITCH, (own, f"current_setting('{TURNING}', true) <> ''"))
    query(f"SELECT set_config('{TURNING}', '1', true)")
    query("UPDATE waffle_switch SET active = true")


def a_write_that_a_flip_overtakes(user: int) -> None:
    """It begins before a flip to BLOB_MIRRORED and waits; it goes on when the flip has drained."""
    with second_session() as writer, second_session() as operator:
        with transaction.atomic():
            query("UPDATE accounts_user SET last_name = 'x' WHERE id = %s", [user])
            write = writer.start(partial(update_at_once, [user]))
            assert waits_behind_us(writer, write)
            operator.run(partial(turn, Route.BLOB_MIRRORED))
            operator.run(partial(drain, "default", Control(notice=print)))
        write.result(PATIENCE)


def test_a_write_that_waited_while_the_flip_drained_is_captured_by_the_new_route(
    site: str,
) -> None:
    user = stores.insert_user(Place.BLOB_MIRRORED, BEFORE)
    a_write_that_a_flip_overtakes(user)
    assert stores.blob_text(user) == stores.tables_text(user) == stores.as_jsonb(AFTER)


def test_with_the_switches_read_by_a_stable_function_that_write_is_lost(site: str) -> None:
    user = stores.insert_user(Place.BLOB_MIRRORED, BEFORE)
    query("ALTER FUNCTION prefs_capture() STABLE")
    a_write_that_a_flip_overtakes(user)
    assert stores.blob_text(user) == stores.as_jsonb(AFTER)
    assert stores.tables_text(user) == stores.as_jsonb(BEFORE)


def test_with_no_look_at_the_isolation_level_a_write_goes_by_a_route_long_gone(site: str) -> None:
    user = stores.insert_user(Place.BLOB_MIRRORED, BEFORE)
    alter_function(CAPTURE, ("<> 'read committed'", "= 'none'"))
    with scratch.connect(site) as session:
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        session.execute("SELECT FROM django_content_type")
        turn(Route.BLOB_MIRRORED)
        assert drain("default", Control(notice=print))
        session.execute("UPDATE accounts_user SET preferences = '{}'")
        session.execute("COMMIT")
    assert stores.differ(user)

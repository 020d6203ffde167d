"""A document that is another one by its bytes alone is another one to every statement.

jsonb has 1 = 1.0, so a comparison by `=` or IS DISTINCT FROM would leave one store with the older.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from prefs.engine.repair import Direction, overwrite_mirror
from prefs.models import UserPreferences
from prefs.sql import copying
from tests.support import site_triggers, stores
from tests.support.places import EnterRoute
from tests.support.stores import Place, query

pytestmark = pytest.mark.django_db

ONE, ONE_POINT = '{"n": 1, "theme": "dark"}', '{"n": 1.0, "theme": "dark"}'
Write = Callable[[int], Any]

WRITES: dict[str, Write] = {
    "replace": lambda user: UserPreferences.objects.replace(user, {"n": 1.0, "theme": "dark"}),
    "merge": lambda user: UserPreferences.objects.merge(user, {"n": 1.0}),
    "change": lambda user: UserPreferences.objects.change({user: {"n": [1.0]}}),
}


def assert_written(place: Place, user: int) -> None:
    assert stores.primary_text(place, user) == ONE_POINT
    if place.route.mirrored:
        assert stores.blob_text(user) == stores.tables_text(user) == ONE_POINT
        assert not stores.differ(user)


@pytest.mark.parametrize("write", WRITES)
def test_another_look_of_a_number_is_written_in_every_route(place: Place, write: str) -> None:
    """Case B19: compared by IS DISTINCT FROM, 1.0 over 1 was lost."""
    user = stores.insert_user(place, ONE)
    for _ in range(2):
        WRITES[write](user)
        assert_written(place, user)


@pytest.mark.parametrize("write", WRITES)
def test_what_is_the_same_by_its_bytes_is_not_written_again(place: Place, write: str) -> None:
    user = stores.insert_user(place, ONE_POINT)
    before = stores.versions(user)
    WRITES[write](user)
    assert stores.versions(user) == before


@pytest.mark.parametrize(
    ("place_", "direction"),
    [(Place.BLOB_MIRRORED, Direction.FORWARD), (Place.TABLES_MIRRORED, Direction.REVERSE)],
    ids=["forward", "reverse"],
)
def test_a_mirror_with_another_look_of_a_number_differs_and_is_overwritten(
    in_route: EnterRoute, place_: Place, direction: Direction
) -> None:
    """Case B19: in the difference, and in what overwrites by it."""
    user = stores.insert_user(in_route(place_), ONE_POINT)
    if direction is Direction.FORWARD:
        stores.fill_tables([user], [ONE])
    else:
        stores.fill_blob(user, ONE)
    assert stores.differ(user)
    for first in (None, user - 1):
        with connection.cursor() as cursor:
            cursor.execute(copying.difference(), {"after": first, "upto": user})
            assert cursor.fetchall() == [(user,)]
    with connection.cursor() as cursor:
        overwrite_mirror(cursor, [user], direction)
    assert_written(place_, user)


def test_a_raw_write_of_another_look_is_captured_and_one_over_another_look_is_refused(
    in_route: EnterRoute,
) -> None:
    user = stores.insert_user(in_route(Place.TABLES_MIRRORED), ONE)
    query("UPDATE accounts_user SET preferences = %s::jsonb", [ONE_POINT])
    assert_written(Place.TABLES_MIRRORED, user)
    stores.fill_blob(user, ONE)
    with pytest.raises(Exception, match="was older than the tables"):
        query("UPDATE accounts_user SET preferences = preferences || '{\"x\": 1}'")


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    ("place_", "does"),
    [
        (Place.BLOB, "cancels"),
        (Place.BLOB_MIRRORED, "cancels"),
        (Place.TABLES_MIRRORED, "cancels"),
        (Place.TABLES_MIRRORED, "keeps it as it was"),
    ],
    ids=str,
)
def test_another_look_that_a_trigger_of_the_site_keeps_from_being_stored_is_an_error(
    in_route: EnterRoute, place_: Place, does: str, write: str
) -> None:
    """Case B9, where what was to be stored is equal to what is, and not the same."""
    user = stores.insert_user(in_route(place_), ONE)
    site_triggers.before_row(does)
    with pytest.raises(Exception, match="were not stored"), transaction.atomic():
        WRITES[write](user)
    assert stores.primary_text(place_, user) == ONE


@pytest.mark.parametrize("does", ["cancels", "keeps it as it was"])
def test_a_mirror_that_a_trigger_keeps_from_being_overwritten_is_an_error(
    in_route: EnterRoute, does: str
) -> None:
    """Case B9: the reverse backfill's statement."""
    user = stores.insert_user(in_route(Place.TABLES_MIRRORED), ONE_POINT)
    stores.fill_blob(user, ONE)
    site_triggers.before_row(does)
    with (
        pytest.raises(Exception, match="were not stored"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        overwrite_mirror(cursor, [user], Direction.REVERSE)
    assert stores.blob_text(user) == ONE


def test_a_key_that_a_trigger_moves_before_another_look_of_a_number_is_in_the_tables_is_refused(
    in_route: EnterRoute,
) -> None:
    """Case B2: the rows that move with the key are then older than the blob."""
    user = stores.insert_user(in_route(Place.TABLES_MIRRORED), ONE)
    site_triggers.after_row("a_site", "moves the key")
    with pytest.raises(Exception, match="a trigger gave user"), transaction.atomic():
        query("UPDATE accounts_user SET preferences = %s::jsonb", [ONE_POINT])
    assert stores.blob_text(user) == stores.tables_text(user) == ONE

"""Savepoints of a caller: what is undone, what is read anew, what stays usable."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from django.db import transaction

from prefs.models import UserPreferences
from prefs.routing import Route
from tests.prefs.callers.writing import change, every_write, merge, raw
from tests.support import stores
from tests.support.sessions import second_session
from tests.support.stores import Place
from tests.support.tampering import turn

BEFORE = {"theme": "light", "notifications": {"sms": {"security": True}}}


def a_user(place: Place) -> int:
    return stores.insert_user(place, json.dumps(BEFORE))


def document(user: int) -> Any:
    return UserPreferences.objects.document(user)


def undone(work: Callable[[], object]) -> None:
    """Do the work in a savepoint that is rolled back."""
    with transaction.atomic():
        work()
        transaction.set_rollback(True)


@every_write
def test_a_savepoint_that_is_rolled_back_undoes_its_write_alone(place: Place, write: Any) -> None:
    user = a_user(place)
    with transaction.atomic():
        write(user, {"theme": "dark", "before": 1})
        kept = stores.versions(user)
        undone(partial(write, user, {"theme": "system", "inside": 1}))
        assert stores.versions(user) == kept
        write(user, {"language": "de", "after": 1})
    assert document(user) == {**BEFORE, "theme": "dark", "language": "de", "before": 1, "after": 1}
    if place.route.mirrored:
        assert not stores.differ(user)


@every_write
def test_a_transaction_whose_only_write_was_undone_changes_nothing(
    place: Place, write: Any
) -> None:
    user = a_user(place)
    before = stores.versions(user)
    with transaction.atomic():
        undone(partial(write, user, {"theme": "dark"}))
    assert stores.versions(user) == before


@pytest.mark.parametrize("write", [merge, change], ids=lambda f: f.__name__)
def test_what_a_write_marked_is_no_mark_for_raw_sql_after_its_savepoint(
    site: str, write: Any
) -> None:
    stores.enter(Place.TABLES_MIRRORED)
    user = a_user(Place.TABLES_MIRRORED)
    with transaction.atomic():
        write(user, {"a": 1})
        undone(partial(write, user, {"b": 1}))
        raw(user, '{"theme": "dark"}')
        write(user, {"c": 1})
    assert document(user) == {**BEFORE, "theme": "dark", "a": 1, "c": 1}


ROUTES = [place for place in Place if place.has_column]
MOVES = [*pairwise(ROUTES), *pairwise(reversed(ROUTES))]


def holding(user: int) -> set[str]:
    """Which stores hold the key `late`."""
    texts = {"blob": stores.blob_text(user), "tables": stores.tables_text(user)}
    return {name for name, text in texts.items() if "late" in json.loads(text or "{}")}


def written_by(route: Route) -> set[str]:
    """The stores that a write of this route goes to."""
    written = {"blob": route.writes_blob, "tables": route.writes_tables}
    return {name for name, goes in written.items() if goes}


@every_write
@pytest.mark.parametrize(("source", "target"), MOVES, ids=lambda place: place.name)
def test_the_route_is_read_anew_after_a_savepoint_was_rolled_back(
    site: str, source: Place, target: Place, write: Any
) -> None:
    stores.enter(source)
    user = a_user(source)
    with second_session() as session, transaction.atomic():
        undone(partial(write, user, {"early": 1}))
        session.run(partial(turn, target.route))
        write(user, {"late": 1})
    assert holding(user) == written_by(target.route)

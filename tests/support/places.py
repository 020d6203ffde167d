"""Fixtures that put the database in a route, with the column or without."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from tests.support import stores
from tests.support.stores import Place

EnterRoute = Callable[[Place], Place]


@pytest.fixture
def in_route(db: None) -> Iterator[EnterRoute]:
    """A function that puts the database in a route; the column is restored afterwards."""

    def enter(place: Place) -> Place:
        stores.enter(place)
        return place

    yield enter
    # Inside a test's transaction the rollback restores the column.
    if not connection.in_atomic_block:
        stores.restore_column()


@pytest.fixture(params=Place, ids=lambda place: place.name)
def place(request: pytest.FixtureRequest, in_route: EnterRoute) -> Place:
    """Each of the routes in turn, entered."""
    chosen: Place = request.param
    return in_route(chosen)


@pytest.fixture(
    params=[place for place in Place if place.route.reads_tables], ids=lambda place: place.name
)
def table_place(request: pytest.FixtureRequest, in_route: EnterRoute) -> Place:
    """Each of the routes that read the tables, entered."""
    chosen: Place = request.param
    return in_route(chosen)


@pytest.fixture(
    params=[place for place in Place if place.route.mirrored], ids=lambda place: place.name
)
def mirrored_place(request: pytest.FixtureRequest, in_route: EnterRoute) -> Place:
    """Each of the mirrored routes, entered."""
    chosen: Place = request.param
    return in_route(chosen)

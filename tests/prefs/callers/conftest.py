"""A migrated database of its own for each test, in each of the routes."""

from __future__ import annotations

import pytest

from tests.support import stores
from tests.support.databases import copies, site
from tests.support.stores import Place

__all__ = ["copies", "place", "site"]


@pytest.fixture(params=Place, ids=lambda place: place.name)
def place(request: pytest.FixtureRequest, site: str) -> Place:
    """Each of the routes in turn, entered."""
    chosen: Place = request.param
    stores.enter(chosen)
    return chosen

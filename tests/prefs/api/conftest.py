"""Fixtures: a database in each of the five states, and a user who is logged in."""

from __future__ import annotations

import pytest

from tests.prefs.api.asking import Asking, asking_as
from tests.support import stores
from tests.support.databases import copies, site
from tests.support.places import in_route, mirrored_place, place, table_place
from tests.support.stores import Place

__all__ = ["copies", "in_route", "mirrored_place", "place", "site", "table_place"]


@pytest.fixture
def asking(place: Place) -> Asking:
    """A client of a user with a document, in each state."""
    return asking_as(stores.insert_user(place, '{"theme": "light"}'))

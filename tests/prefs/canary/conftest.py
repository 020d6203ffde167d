"""A migrated database of its own for each test, and the route fixtures of the managers."""

from tests.prefs.switches.conftest import admin
from tests.support.databases import copies, site
from tests.support.places import in_route, place

__all__ = ["admin", "copies", "in_route", "place", "site"]

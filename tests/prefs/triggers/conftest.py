"""The route fixtures of the managers, and the databases of the engine."""

from tests.support.databases import copies, site
from tests.support.places import in_route, mirrored_place, place, table_place

__all__ = ["copies", "in_route", "mirrored_place", "place", "site", "table_place"]

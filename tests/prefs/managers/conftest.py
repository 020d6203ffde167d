"""The fixtures of the managers' tests: each of the routes, with the column or without."""

from tests.support.places import in_route, mirrored_place, place, table_place

__all__ = ["in_route", "mirrored_place", "place", "table_place"]

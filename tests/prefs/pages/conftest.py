"""Each of the routes, with the column or without."""

from tests.support.places import in_route, place

__all__ = ["in_route", "place"]

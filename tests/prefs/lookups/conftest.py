"""The fixtures of the managers' tests: each of the routes, with the column or without."""

from tests.support.databases import copies
from tests.support.places import in_route, place

__all__ = ["copies", "in_route", "place"]

"""The differences that are meant: what, where, and why. Anything else is a fault."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tests.support.stores import Place

Differences = dict[str, tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Meant:
    """What differs of an operation in these places, exactly."""

    because: str
    what: Differences
    places: Collection[Place] = tuple(Place)


_MEANT: dict[str, list[Meant]] = {}


def meant(operation: str, place: Place | None) -> Differences:
    """What is to differ of an operation in a place."""
    return {
        path: both
        for each in _MEANT.get(operation, [])
        if place in each.places
        for path, both in each.what.items()
    }

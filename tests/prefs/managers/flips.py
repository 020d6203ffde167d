"""A writer who goes on while the route moves on, one flip at a time."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import connection, transaction

from prefs.engine.repair import Direction, overwrite_mirror
from prefs.models import UserPreferences
from prefs.routing import Route
from tests.support.sessions import second_session
from tests.support.stores import Place
from tests.support.tampering import turn

_FORWARD = (Place.BLOB, Place.BLOB_MIRRORED, Place.TABLES_MIRRORED, Place.TABLES)
ROUNDS = {"forward": _FORWARD, "backward": _FORWARD[::-1]}


def catch_up(user: int, route: Route) -> None:
    """What makes the mirror true before a flip lets it be read."""
    if route.mirrored:
        with transaction.atomic(), connection.cursor() as cursor:
            overwrite_mirror(cursor, [user], Direction.of(route))


def merged_while_the_route_moves(user: int, places: tuple[Place, ...]) -> tuple[Any, Any]:
    """What was merged into an empty document, a key in each route, and what is read at the end.

    The flips are another session's, committed before the next merge begins.
    """
    written = {}
    with second_session() as session:
        for number, place in enumerate(places):
            session.run(partial(turn, place.route))
            session.run(partial(catch_up, user, place.route))
            written[f"key {number}"] = number
            UserPreferences.objects.merge(user, {f"key {number}": number})
    return written, UserPreferences.objects.document(user)

"""Users made behind the ORM's back, and what is stored for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

from project.accounts.models import User
from tests.support import stores
from tests.support.stores import Place

BEFORE = {"theme": "light", "beta": 1, "notifications": {"email": {"digest": "daily"}}}
# What fits no column, and what a decoder or a comparison can get wrong.
ODD: tuple[Any, ...] = (
    {},
    None,
    [],
    [1, 2.0, "x", None],
    "dark",
    True,
    0,
    {"theme": None, "notifications": {}},
    {"theme": "purple", "items_per_page": 10.0, "compact_mode": 1},
    {"notifications": {"email": [], "quiet_hours": {"start": "24:00"}}},
    {"notifications": "off", "n": 9007199254740993, "x": 1e-7, "deep": [[[{"a": {}}]]]},
    {"%s": "100%", "\N{SNOWMAN}": '"', "": [{}]},
)


def add(place: Place, document: Any = BEFORE) -> User:
    """A user with this document in the stores of the route, freshly loaded."""
    text = document if document is None else json.dumps(document)
    user: User = User.objects.get(pk=stores.insert_user(place, text))
    return user


def add_many(place: Place, count: int) -> list[int]:
    """So many users, each with a document of their own."""
    return stores.insert_users(place, [json.dumps({"n": number}) for number in range(count)])


def exactly(document: Any) -> str:
    """A document so that True, 1 and 1.0 differ, and the order of keys does not count."""
    return json.dumps(document, sort_keys=True)


def stored(place: Place, user: User | int) -> str:
    """What the primary of the route has for a user; what is mirrored must be the same."""
    key = user if isinstance(user, int) else user.pk
    assert not place.route.mirrored or not stores.differ(key)
    text = stores.primary_text(place, key)
    return exactly(None if text is None else json.loads(text))


def statements(work: Callable[[], object]) -> list[str]:
    """The statements that `work` sends, but for savepoints and transactions."""
    with CaptureQueriesContext(connection) as captured:
        work()
    ignored = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT", "ROLLBACK")
    return [query["sql"] for query in captured if not query["sql"].startswith(ignored)]

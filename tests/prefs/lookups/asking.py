"""The same query of users and of their reference."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, transaction

from project.accounts.models import User
from tests.prefs.lookups.drawing import Draw
from tests.prefs.lookups.plain import Plain
from tests.support.strategies import BYTES, compose


def documents(seed: int) -> list[str | None]:
    """Documents of every kind, but those with numbers that Python does not read exactly."""
    rng = random.Random(seed)
    found = [compose(rng.randbytes(BYTES), deepest=2) for _ in range(120)]
    return [*filter(_readable, found), None, "null", "{}", '["theme"]', '"theme"', '{"beta": 1}']


def _readable(text: str | None) -> bool:
    return text is None or (len(text) < 700 and not any(odd in text for odd in ("e1", "e-1", "e4")))


def outcome(ask: Callable[[Any], Any], model: Any) -> str:
    """What a query gives, or the kind of its error."""
    try:
        with transaction.atomic():
            result = ask(model)
            if hasattr(result, "__iter__") and not isinstance(result, dict):
                result = [row.pk if hasattr(row, "pk") else row for row in result]
            return json.dumps(result, sort_keys=True)
    except (DatabaseError, ValueError, TypeError) as error:
        return type(error).__name__


def first_difference(seed: int, queries: int) -> str | None:
    """The first of so many queries by chance that the two answer in different ways."""
    draw = Draw(seed)
    for _ in range(queries):
        query = draw.query()
        ours, plain = outcome(query, User), outcome(query, Plain)
        if ours != plain:
            return f"{draw.shown}\nours:  {ours}\nplain: {plain}"
    return None

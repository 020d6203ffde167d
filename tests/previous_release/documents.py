"""Documents that the tests of both releases write, and how they are compared."""

from __future__ import annotations

import json
import uuid
from typing import Any

USUAL: dict[str, Any] = {
    "theme": "dark",
    "items_per_page": 10,
    "notifications": {"email": {"digest": "daily"}, "quiet_hours": {"start": "22:00"}},
    "beta": [1, {"deep": None}],
}
# Each over the one before; to jsonb, the second equals the first.
DOCUMENTS: tuple[Any, ...] = (
    USUAL,
    {**USUAL, "items_per_page": 10.0},
    {**USUAL, "theme": "mauve", "language": None, "notifications": {}},
    ["no", "object"],
    None,
    {},
)


def spelled(document: Any) -> str:
    """A document as text: Python takes 10 and 10.0 for equal."""
    return json.dumps(document, sort_keys=True)


def name() -> str:
    """The name of a user who is not there yet."""
    return uuid.uuid4().hex

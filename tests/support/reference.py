"""A second opinion: what the tables must hold for a document, in plain Python.

It shares nothing with the code under test. The table of leaves is copied from the
specification, and numbers keep every digit of their text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class Number:
    """A JSON number as jsonb has it: its digits, those behind the point included."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Number:
        value = Decimal(text)
        if value == 0:
            exponent = value.as_tuple().exponent
            assert isinstance(exponent, int)
            return cls("0" + ("." + "0" * -exponent if exponent < 0 else ""))
        return cls(f"{value:f}")


class Absent:
    """What is not there at all, unlike null; and what SQL NULL is here."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = Absent()


def parse(text: str | None) -> Any:
    """The document of a JSON text, numbers exact; of a key given twice the last one counts."""
    if text is None:
        return ABSENT
    return json.loads(text, parse_int=Number.parse, parse_float=Number.parse)


def _one_of(*values: str) -> Callable[[Any], Any]:
    return lambda value: value if value in values else None


def _shaped(pattern: str, length: int) -> Callable[[Any], Any]:
    def accept(value: Any) -> Any:
        fits = isinstance(value, str) and len(value) <= length and re.fullmatch(pattern, value)
        return value if fits else None

    return accept


def _flag(value: Any) -> Any:
    return value if value is True or value is False else None


def _page_size(value: Any) -> Any:
    whole = isinstance(value, Number) and re.fullmatch("[0-9]{1,3}", value.text)
    return int(value.text) if whole and 1 <= int(value.text) <= 500 else None


def _time(value: Any) -> Any:
    fits = isinstance(value, str) and re.fullmatch("([01][0-9]|2[0-3]):[0-5][0-9]", value)
    return f"{value}:00" if fits else None


_ZONE = "[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*)*"

# Leaf, column, and the column's value for what the document has there (None: not accepted).
LEAVES: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("theme", "theme", _one_of("light", "dark", "system")),
    ("language", "language", _shaped("[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", 35)),
    ("timezone", "timezone", _shaped(_ZONE, 64)),
    ("date_format", "date_format", _one_of("iso", "us", "eu")),
    ("items_per_page", "items_per_page", _page_size),
    ("compact_mode", "compact_mode", _flag),
    ("notifications.email.marketing", "email_marketing", _flag),
    ("notifications.email.product_updates", "email_product_updates", _flag),
    ("notifications.email.security", "email_security", _flag),
    ("notifications.email.mentions", "email_mentions", _flag),
    ("notifications.email.digest", "email_digest", _one_of("off", "daily", "weekly")),
    ("notifications.push.mentions", "push_mentions", _flag),
    ("notifications.push.messages", "push_messages", _flag),
    ("notifications.push.security", "push_security", _flag),
    ("notifications.sms.security", "sms_security", _flag),
    ("notifications.quiet_hours.start", "quiet_hours_start", _time),
    ("notifications.quiet_hours.end", "quiet_hours_end", _time),
)
COLUMNS = tuple(column for _, column, _ in LEAVES)


def split(document: Any) -> tuple[dict[str, Any], Any]:
    """The typed columns of a document, None where not set, and its residue.

    Takes the accepted leaves out of `document` itself, with the objects that this empties.
    """
    typed = {}
    for leaf, column, accept in LEAVES:
        trail = _trail(document, leaf)
        typed[column] = accept(trail[-1][1][trail[-1][0]]) if trail else None
        if typed[column] is not None:
            _take(trail)
            if document == {}:
                document = ABSENT
    return typed, document


def _trail(document: Any, leaf: str) -> list[tuple[str, dict[str, Any]]]:
    """Each name on the way to a leaf, with the object that has it; empty where there is none."""
    trail = []
    for name in leaf.split("."):
        if not isinstance(document, dict) or name not in document:
            return []
        trail.append((name, document))
        document = document[name]
    return trail


def _take(trail: list[tuple[str, dict[str, Any]]]) -> None:
    for name, holder in reversed(trail):
        del holder[name]
        if holder:
            return


def quarantined(residue: Any) -> Iterator[tuple[str, Any]]:
    """Each mapped leaf that a residue holds, or the parent in its place that is no object."""
    parents = {leaf[: at.start()] for leaf, *_ in LEAVES for at in re.finditer(r"\.", leaf)}
    if not isinstance(residue, dict):
        if residue is not ABSENT:
            yield "", residue
        return
    for path in (*parents, *(leaf for leaf, *_ in LEAVES)):
        trail = _trail(residue, path)
        value = trail[-1][1][trail[-1][0]] if trail else None
        if trail and not (path in parents and isinstance(value, dict)):
            yield path, value

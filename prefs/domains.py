"""What a leaf can be: the kinds of leaves, each with how it is written, asked for and described.

Data, as the mapping is: nothing here knows a database. What the database has for a kind is
rendered from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from django.utils.text import capfirst
from django.utils.translation import gettext as _

from prefs.answers import Line, OneOf, words

JsonType = Literal["string", "number", "boolean"]
# What a domain takes, as a JSON Schema (2020-12).
Schema = dict[str, Any]

# The kinds of leaves: how JSON, PostgreSQL and Django name what such a leaf holds.


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of a few strings. `wanted` are those by which a user asks for messages."""

    values: tuple[str, ...]
    wanted: tuple[str, ...] = ()
    json_type: JsonType = "string"
    column_type: str = "text"
    field: str = "TextField"

    @property
    def expected(self) -> str:
        return "one of " + ", ".join(f'"{value}"' for value in self.values)

    def form_field(self) -> OneOf:
        """How a person sets it."""
        return OneOf({value: words(value) for value in self.values}, expected=self.expected)

    @property
    def schema(self) -> Schema:
        return {"type": "string", "enum": list(self.values)}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A string of a certain shape; `known` is a further test, of new input only.

    What `known` refuses may already be stored (the set of time zones changes with every
    release of tzdata), so it is never a reason to quarantine a value. `suggested` are values for a
    person to choose from, in the place of the examples.
    """

    pattern: str
    max_length: int
    description: str
    examples: tuple[str, ...]
    known: Callable[[str], bool] | None = None
    suggested: Callable[[], tuple[str, ...]] | None = None
    format: str = ""
    """The name of what `known` takes, in a JSON Schema."""
    json_type: JsonType = "string"
    column_type: str = "text"
    field: str = "TextField"

    @property
    def expected(self) -> str:
        return f"{self.description}, at most {self.max_length} characters"

    def form_field(self) -> Line:
        """How a person sets it."""
        return Line(
            self._parsed,
            expected=self.expected,
            help_text=capfirst(_(self.description)),
            suggestions=self.suggested() if self.suggested else self.examples,
            size=24,
        )

    def _parsed(self, text: str) -> str | None:
        fits = len(text) <= self.max_length and re.fullmatch(self.pattern, text)
        return text if fits and (self.known is None or self.known(text)) else None

    @property
    def schema(self) -> Schema:
        shape = {"pattern": self.pattern, "maxLength": self.max_length}
        return {
            "type": "string",
            "description": self.expected,
            # A format is the further test; of a string that only has the shape it says too little.
            **({"format": self.format} if self.format else shape),
            "examples": list(self.examples),
        }


@dataclass(frozen=True, kw_only=True)
class WholeNumber:
    """An integer within bounds, both inclusive, written without a fraction."""

    minimum: int
    maximum: int
    json_type: JsonType = "number"
    column_type: str = "integer"
    field: str = "IntegerField"

    @property
    def expected(self) -> str:
        return f"an integer from {self.minimum} to {self.maximum}"

    def form_field(self) -> Line:
        """How a person sets it."""
        # Not type="number": a browser sends what is no number as if nothing had been entered.
        bounds = _("From %(minimum)s to %(maximum)s") % vars(self)
        return Line(
            self._parsed, expected=self.expected, help_text=bounds, size=6, inputmode="numeric"
        )

    def _parsed(self, text: str) -> int | None:
        value = int(text) if re.fullmatch(r"-?\d{1,19}", text) else None
        return value if value is not None and self.minimum <= value <= self.maximum else None

    @property
    def schema(self) -> Schema:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True, kw_only=True)
class Flag:
    """true or false; true asks for messages where the leaf is a topic of a channel."""

    json_type: JsonType = "boolean"
    column_type: str = "boolean"
    field: str = "BooleanField"
    expected: str = "true or false"

    def form_field(self) -> OneOf:
        """How a person sets it."""
        return OneOf({True: _("Yes"), False: _("No")}, expected=self.expected)

    @property
    def schema(self) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True, kw_only=True)
class ClockTime:
    """A time of day to the minute, on the 24-hour clock; `24:00` is not one."""

    pattern: str = "^([01][0-9]|2[0-3]):[0-5][0-9]$"
    json_type: JsonType = "string"
    column_type: str = "time without time zone"
    field: str = "TimeField"
    expected: str = 'a time "HH:MM" from "00:00" to "23:59"'

    def form_field(self) -> Line:
        """How a person sets it."""
        example = _("On the 24-hour clock, such as 22:30")
        return Line(self._parsed, expected=self.expected, help_text=example, size=6)

    def _parsed(self, text: str) -> str | None:
        time = text.zfill(len("HH:MM"))
        return time if re.fullmatch(self.pattern, time) else None

    @property
    def schema(self) -> Schema:
        return {"type": "string", "description": self.expected, "pattern": self.pattern}


Domain = Choice | Shape | WholeNumber | Flag | ClockTime

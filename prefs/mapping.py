"""The leaves of a preferences document and the typed columns that hold them.

This is data: it knows nothing of a database. Everything that names a leaf (statements,
constraints, validation, seeds, quarantine) is rendered from `LEAVES`, so the blob and the
tables cannot come to disagree about what a leaf is. The models declare the same columns
for Django, and a system check holds the two together.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from django.utils.text import capfirst
from django.utils.translation import gettext as _

from prefs.answers import Line, OneOf, words

BLOB_COLUMN = "preferences"
RESIDUE_COLUMN = "residue"

USER_TABLE = "user_preferences"
NOTIFICATION_TABLE = "notification_preferences"

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


@dataclass(frozen=True)
class Leaf:
    """One mapped setting: where it stands in a document, and in which column."""

    dotted: str
    table: str
    column: str
    domain: Domain

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.dotted.split("."))

    @property
    def name(self) -> str:
        return self.path[-1]

    @property
    def wanted(self) -> tuple[str, ...]:
        """The strings by which a user asks for messages; none for a flag, which says true."""
        return self.domain.wanted if isinstance(self.domain, Choice) else ()


@dataclass(frozen=True)
class Node:
    """An object inside a document that holds leaves or further such objects."""

    path: tuple[str, ...]
    leaves: tuple[Leaf, ...]
    nodes: tuple[Node, ...] = field(default=())

    @property
    def name(self) -> str:
        return self.path[-1]

    @property
    def dotted(self) -> str:
        return ".".join(self.path)


@cache
def _zones() -> frozenset[str]:
    # "Factory" and "localtime" are in tzdata but name no place.
    return frozenset(zoneinfo.available_timezones() - {"Factory", "localtime"})


def zone_is_known(name: str) -> bool:
    """Whether this machine's tzdata has the zone; PostgreSQL takes more (`FOO5`)."""
    return name in _zones()


@cache
def _zones_in_order() -> tuple[str, ...]:
    return tuple(sorted(_zones()))


_FLAG = Flag()
_TIME = ClockTime()
_LANGUAGE = Shape(
    pattern="^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$",
    max_length=35,
    description='a BCP 47 language tag such as "pt-BR"',
    examples=("en", "en-GB", "de", "fr", "pt-BR", "es-419", "zh-Hant-TW", "ja", "sr-Latn-RS"),
)
_TIMEZONE = Shape(
    pattern="^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*)*$",
    max_length=64,
    description='an IANA time zone such as "Europe/Lisbon"',
    examples=(
        "UTC",
        "Europe/Lisbon",
        "Europe/Berlin",
        "America/New_York",
        "America/Argentina/Buenos_Aires",
        "Asia/Kolkata",
        "Asia/Tokyo",
        "Pacific/Auckland",
    ),
    known=zone_is_known,
    suggested=_zones_in_order,
    format="iana-time-zone",
)

LEAVES: tuple[Leaf, ...] = (
    Leaf("theme", USER_TABLE, "theme", Choice(values=("light", "dark", "system"))),
    Leaf("language", USER_TABLE, "language", _LANGUAGE),
    Leaf("timezone", USER_TABLE, "timezone", _TIMEZONE),
    Leaf("date_format", USER_TABLE, "date_format", Choice(values=("iso", "us", "eu"))),
    Leaf("items_per_page", USER_TABLE, "items_per_page", WholeNumber(minimum=1, maximum=500)),
    Leaf("compact_mode", USER_TABLE, "compact_mode", _FLAG),
    Leaf("notifications.email.marketing", NOTIFICATION_TABLE, "email_marketing", _FLAG),
    Leaf("notifications.email.product_updates", NOTIFICATION_TABLE, "email_product_updates", _FLAG),
    Leaf("notifications.email.security", NOTIFICATION_TABLE, "email_security", _FLAG),
    Leaf("notifications.email.mentions", NOTIFICATION_TABLE, "email_mentions", _FLAG),
    Leaf(
        "notifications.email.digest",
        NOTIFICATION_TABLE,
        "email_digest",
        Choice(values=("off", "daily", "weekly"), wanted=("daily", "weekly")),
    ),
    Leaf("notifications.push.mentions", NOTIFICATION_TABLE, "push_mentions", _FLAG),
    Leaf("notifications.push.messages", NOTIFICATION_TABLE, "push_messages", _FLAG),
    Leaf("notifications.push.security", NOTIFICATION_TABLE, "push_security", _FLAG),
    Leaf("notifications.sms.security", NOTIFICATION_TABLE, "sms_security", _FLAG),
    Leaf("notifications.quiet_hours.start", NOTIFICATION_TABLE, "quiet_hours_start", _TIME),
    Leaf("notifications.quiet_hours.end", NOTIFICATION_TABLE, "quiet_hours_end", _TIME),
)


def leaves_of(table: str) -> tuple[Leaf, ...]:
    """The leaves whose columns are in `table`, in the order of the columns."""
    return tuple(leaf for leaf in LEAVES if leaf.table == table)


def _node(path: tuple[str, ...]) -> Node:
    depth = len(path)
    below = [leaf for leaf in LEAVES if leaf.path[:depth] == path]
    names = dict.fromkeys(leaf.path[depth] for leaf in below if len(leaf.path) > depth + 1)
    return Node(
        path=path,
        leaves=tuple(leaf for leaf in below if len(leaf.path) == depth + 1),
        nodes=tuple(_node((*path, name)) for name in names),
    )


TREE = _node(())

# The keys of a document below which there are leaves: a residue with one has them quarantined.
TOP_NAMES = tuple(dict.fromkeys(leaf.path[0] for leaf in LEAVES))


def inner_nodes(node: Node = TREE) -> tuple[Node, ...]:
    """`node` and every node below it, parents first."""
    return (node, *(deep for child in node.nodes for deep in inner_nodes(child)))


class UnknownTopic(LookupError):
    """No such message topic on that channel."""

    def __init__(self, channel: str, topic: str) -> None:
        known = ", ".join(f"{c}/{t}" for c, t in sorted(TOPICS))
        super().__init__(f"{channel}/{topic} is not a message topic; expected one of {known}.")


TOPICS = {
    (leaf.path[1], leaf.path[2]): leaf
    for leaf in LEAVES
    if len(leaf.path) == 3 and (isinstance(leaf.domain, Flag) or leaf.wanted)
}


def topic(channel: str, name: str) -> Leaf:
    """The leaf that says whether a user wants `name` on `channel`.

    Raises UnknownTopic, which lists those there are.
    """
    try:
        return TOPICS[channel, name]
    except KeyError:
        raise UnknownTopic(channel, name) from None

"""The leaves of a preferences document and the typed columns that hold them.

This is data: it knows nothing of a database. Everything that names a leaf (statements,
constraints, validation, seeds, quarantine) is rendered from `LEAVES`, so the blob and the
tables cannot come to disagree about what a leaf is. The models declare the same columns
for Django, and a system check holds the two together.
"""

from __future__ import annotations

import hashlib
import json
import zoneinfo
from dataclasses import dataclass, field
from functools import cache

from prefs.domains import Choice, ClockTime, Domain, Flag, Shape, WholeNumber

BLOB_COLUMN = "preferences"
RESIDUE_COLUMN = "residue"

USER_TABLE = "user_preferences"
NOTIFICATION_TABLE = "notification_preferences"


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


def fingerprint() -> str:
    """Which mapping this is: another where a leaf is added, moved, or takes other values."""
    leaves = [(leaf.dotted, leaf.table, leaf.column, leaf.domain.column_type) for leaf in LEAVES]
    takes = [leaf.domain.schema for leaf in LEAVES]
    text = json.dumps([BLOB_COLUMN, RESIDUE_COLUMN, leaves, takes], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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

"""The quarantine: how much of what is in it, whose, and what is let stand as it is.

A leaf is accepted with the number of users whose value of it is in quarantine then. When it
grows beyond that number it asks for attention again. The audit keeps every acceptance and
every withdrawal; the record here is the one that counts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, transaction

from prefs.codec import unstorable
from prefs.ddl import sqlstate
from prefs.engine import audit
from prefs.engine.evidence import database_now
from prefs.engine.flips import lock_transitions
from prefs.engine.sight import rows_of_everybody
from prefs.errors import Mistake, PrefsError
from prefs.mapping import LEAVES, inner_nodes
from prefs.models import AcceptedQuarantine
from prefs.sql import quarantine as sql
from prefs.sql.quarantine import SHOWN, Reason

# What an entry can stand at; the root of a document has the name "".
EXPECTED = {node.dotted: "an object" for node in inner_nodes()} | {
    leaf.dotted: leaf.domain.expected for leaf in LEAVES
}
# How the root of a document is called, whose name is empty.
DOCUMENT = "document"
# Classes of SQLSTATE: no JSON at all (22), nested too deeply or too large (54).
_NOT_STORABLE = ("22", "54")
_TOO_LONG = "(too long to show)"


class NotJson(Mistake):
    """A value that PostgreSQL cannot store as jsonb."""

    def __init__(self, text: str, why: object) -> None:
        # No terminal takes halves of surrogate pairs.
        printable = shown(text).encode("utf-8", "backslashreplace").decode()
        super().__init__(
            f"{printable} is not JSON that can be stored:"
            f" {str(why).splitlines()[0]}. A string needs its quotes, as in '\"dark\"'."
            " Nothing was changed."
        )


class NothingInQuarantine(PrefsError):
    """There is nothing to accept at a leaf."""

    def __init__(self, leaf: str) -> None:
        super().__init__(
            f"Nothing is in quarantine at {leaf or DOCUMENT}, so there is nothing to accept;"
            " `manage.py quarantine_prefs` lists what is. Nothing was changed."
        )


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which entries are meant; None is any. `value` is JSON text and is compared exactly."""

    leaf: str | None = None
    reason: Reason | None = None
    value: str | None = None
    user: Any = None

    def parameters(self, **more: Any) -> dict[str, Any]:
        """The parameters of a statement."""
        return {**vars(self), **more}


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many users have entries at one leaf for one reason, and the value of one of them."""

    leaf: str
    reason: Reason
    users: int
    sample: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One value in quarantine, as far as it is shown."""

    user: Any
    leaf: str
    value: str
    reason: Reason
    expected: str


def shown(text: str | None) -> str:
    """A value's text, cut to what an operator can read."""
    if text is None:
        return _TOO_LONG
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def counts(alias: str, selection: Selection | None = None) -> list[Count]:
    """Entries by leaf and reason, the leaf that most users have first. Raises NotJson."""
    found = query(alias, sql.counts(), (selection or Selection()).parameters())
    return [
        Count(leaf=leaf, reason=Reason(reason), users=users, sample=shown(sample))
        for leaf, reason, users, sample in found
    ]


def by_leaf(found: list[Count]) -> dict[str, int]:
    """How many users have an entry at each leaf, most first."""
    users: Counter[str] = Counter()
    for count in found:
        users[count.leaf] += count.users
    return dict(users.most_common())


def quarantined(alias: str) -> dict[str, int]:
    """The same of everybody, counted now."""
    return by_leaf(counts(alias))


def listed(alias: str, selection: Selection, *, limit: int, after: Any = None) -> list[Entry]:
    """About `limit` entries after key `after`, in key order, no user's in part. Raises NotJson."""
    found = query(alias, sql.listed(), selection.parameters(limit=limit, after=after))
    return [
        Entry(user=user, leaf=leaf, value=shown(value), reason=Reason(reason), expected=expected)
        for user, leaf, value, reason, expected in found
    ]


def query(alias: str, statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of a statement; NotJson where one of its values is not jsonb."""
    for text in (parameters.get("new"), parameters.get("value")):
        if text is not None and unstorable(text):
            raise NotJson(text, "it holds a character that jsonb cannot store")
    try:
        return rows_of_everybody(alias, statement, **parameters)
    except DatabaseError as error:
        if sqlstate(error)[:2] not in _NOT_STORABLE:
            raise
        raise NotJson(parameters.get("new") or parameters["value"], error) from error


@dataclass(frozen=True, kw_only=True)
class LeafInQuarantine:
    """One leaf: how many users have a value in quarantine there, and what was accepted."""

    leaf: str
    users: int
    accepted: AcceptedQuarantine | None = None

    @property
    def needs_attention(self) -> bool:
        """Whether more are in quarantine than were accepted."""
        return self.users > (self.accepted.users if self.accepted else 0)

    def __str__(self) -> str:
        said = f"{self.leaf or DOCUMENT}: {self.users}"
        if self.accepted is None:
            return said
        more = self.users - self.accepted.users
        grown = f", {more} more than" if more > 0 else ","
        return f"{said}{grown} accepted: {self.accepted}"


def leaves_in_quarantine(alias: str, counted: list[Count] | None = None) -> list[LeafInQuarantine]:
    """Every leaf with a value in quarantine, the one that most users have first.

    Reads the typed tables through, unless it is given the counts of everybody.
    """
    users = by_leaf(counts(alias) if counted is None else counted)
    accepted = {each.leaf: each for each in AcceptedQuarantine.objects.using(alias).all()}
    return [
        LeafInQuarantine(leaf=leaf, users=number, accepted=accepted.get(leaf))
        for leaf, number in users.items()
    ]


def accept(alias: str, leaf: str) -> AcceptedQuarantine:
    """Accept what is in quarantine at a leaf now, for the reason given; it may grow no further.

    Raises NothingInQuarantine. Takes the advisory lock of transitions until it commits.
    """
    with transaction.atomic(using=alias):
        lock_transitions(alias)
        signed = audit.signature_here()
        users = sum(each.users for each in counts(alias, Selection(leaf=leaf)))
        if not users:
            raise NothingInQuarantine(leaf)
        made = AcceptedQuarantine(
            leaf=leaf,
            users=users,
            reason=signed.reason,
            actor=signed.actor,
            accepted_at=database_now(alias),
        )
        made.save(using=alias)
        subject = f"{leaf or DOCUMENT} accepted"
        audit.record(alias, audit.Event.QUARANTINE, subject, users=users)
    return made


def withdraw(alias: str, leaf: str) -> AcceptedQuarantine:
    """Accept a leaf no longer; returns what had been. Errors and locks as `accept`."""
    with transaction.atomic(using=alias):
        lock_transitions(alias)
        found = AcceptedQuarantine.objects.using(alias).filter(leaf=leaf).first()
        if found is None:
            raise PrefsError(
                f"The quarantine at {leaf or DOCUMENT} is not accepted, so there is nothing to"
                " withdraw. Nothing was changed."
            )
        AcceptedQuarantine.objects.using(alias).filter(leaf=leaf).delete()
        subject = f"{leaf or DOCUMENT} accepted no longer"
        audit.record(alias, audit.Event.QUARANTINE, subject, users=found.users)
    return found

"""Accepted quarantine: what an operator has looked at, and lets stand as it is.

A leaf is accepted with the number of users whose value of it is in quarantine then. When it
grows beyond that number it asks for attention again. The audit keeps every acceptance and
every withdrawal; the record here is the one that counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from prefs.engine import audit, quarantine
from prefs.engine.evidence import database_now
from prefs.engine.flips import lock_transitions
from prefs.engine.quarantine import Count, Selection
from prefs.errors import PrefsError
from prefs.models import AcceptedQuarantine

# How the root of a document is called, whose name is empty.
DOCUMENT = "document"


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


def leaves_in_quarantine(alias: str, counts: list[Count] | None = None) -> list[LeafInQuarantine]:
    """Every leaf with a value in quarantine, the one that most users have first.

    Reads the typed tables through, unless it is given the `counts` of everybody.
    """
    users = quarantine.by_leaf(quarantine.counts(alias) if counts is None else counts)
    accepted = {each.leaf: each for each in AcceptedQuarantine.objects.using(alias).all()}
    return [
        LeafInQuarantine(leaf=leaf, users=number, accepted=accepted.get(leaf))
        for leaf, number in users.items()
    ]


def accept(alias: str, leaf: str) -> AcceptedQuarantine:
    """Accept what is in quarantine at a leaf now, for the reason given; it may grow no further.

    Raises PrefsError where nothing is. Takes the advisory lock of transitions until it commits.
    """
    with transaction.atomic(using=alias):
        lock_transitions(alias)
        signed = audit.signature_here()
        users = sum(each.users for each in quarantine.counts(alias, Selection(leaf=leaf)))
        if not users:
            raise PrefsError(
                f"Nothing is in quarantine at {leaf or DOCUMENT}, so there is nothing to accept;"
                " `manage.py quarantine_prefs` lists what is. Nothing was changed."
            )
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

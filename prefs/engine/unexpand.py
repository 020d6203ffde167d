"""Whether `migrate prefs zero` may go: it must lose no preference, nor evidence unasked.

The tables of the audit and of the archive go with it, and nothing brings them back.
"""

from __future__ import annotations

import os

from django.core.management.base import CommandError

from prefs.engine.states import State, current_state
from prefs.models import ArchiveDeparture, ArchivedPreferences, AuditEntry

# Of the environment, not of the settings: it is meant for one command.
FORGET = "PREFS_FORGET"
AUDIT, ARCHIVE = "audit", "archive"


def refuse_to_unexpand(alias: str) -> None:
    """Raise CommandError with status 4 where going back would lose something.

    That is a state in which the tables hold what the blob may not, and an audit or an archive
    that nobody has said may be forgotten. Locks nothing.
    """
    state = current_state(alias)
    if state is not State.EXPANDED:
        raise CommandError(
            f"`migrate prefs zero` would lose preferences: the state is {state}, and the tables"
            " hold what the blob may not. Run `manage.py rollback_prefs` until the state is"
            " expanded.",
            returncode=4,
        )
    given = _given()
    there = _there(alias)
    kept = [kind for kind in there if kind not in given]
    if kept:
        raise CommandError(
            f"`migrate prefs zero` would remove {' and '.join(there[kind] for kind in kept)} for"
            " good; nothing was changed. Keep a copy (pg_dump -t prefs_audit -t prefs_transition"
            " -t prefs_rehearsal -t 'prefs_archive*', say), then say that they may go:"
            f" {FORGET}={','.join(there)} manage.py migrate prefs zero.",
            returncode=4,
        )


def _given() -> set[str]:
    """What may be forgotten. Raises CommandError with status 2 for any other word."""
    text = os.environ.get(FORGET, "")
    words = {word.strip() for word in text.split(",")} - {""}
    if not words <= {AUDIT, ARCHIVE}:
        raise CommandError(
            f"{FORGET} is {text!r}; expected {AUDIT}, {ARCHIVE}, or both with a comma between.",
            returncode=2,
        )
    return words


def _there(alias: str) -> dict[str, str]:
    """What would be lost, in words, by the name that lets it go."""
    entries = AuditEntry.objects.using(alias).count()
    documents = ArchivedPreferences.objects.using(alias).count()
    departed = ArchiveDeparture.objects.using(alias).exists()
    found = {AUDIT: f"the audit (entries: {entries})"} if entries else {}
    if documents or departed:
        found[ARCHIVE] = f"the archive (documents: {documents})"
    return found

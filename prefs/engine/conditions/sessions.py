"""Gates on who else is connected."""

from __future__ import annotations

from django.db import connections

from prefs.checks import is_ours
from prefs.engine.findings import Finding, Inquiry
from prefs.engine.states import Gate
from prefs.sql import catalog


def _foreign_sessions(gate: Gate, inquiry: Inquiry, aliases: tuple[str, ...]) -> Finding:
    strangers = []
    for alias in aliases:
        with connections[alias].cursor() as cursor:
            cursor.execute(catalog.sessions())
            sessions = cursor.fetchall()
        strangers += [
            f"pid {pid} ({name or 'unnamed'}, user {user}, {client}, on {alias})"
            for pid, name, user, client in sessions
            if not is_ours(name) and name not in inquiry.settings.known_applications
        ]
    return Finding(
        gate=gate,
        met=not strangers,
        found="; ".join(strangers[:10]) or "every session is of this release",
        remedy="End them, or name in PREFS_KNOWN_APPLICATIONS what never touches preferences.",
        figures={"sessions": len(strangers)},
    )


def no_previous_release(inquiry: Inquiry) -> Finding:
    """Every session is of this release."""
    return _foreign_sessions(Gate.NO_PREVIOUS_RELEASE, inquiry, (inquiry.alias,))


def no_unknown_session(inquiry: Inquiry) -> Finding:
    """The same on the replicas, too."""
    aliases = (inquiry.alias, *inquiry.settings.replicas)
    return _foreign_sessions(Gate.NO_UNKNOWN_SESSION, inquiry, aliases)

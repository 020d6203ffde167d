"""Gates on who else is connected."""

from __future__ import annotations

from collections.abc import Collection

from prefs.checks import is_ours
from prefs.engine import catalogs
from prefs.engine.findings import Finding, Inquiry, none_of
from prefs.engine.states import Gate
from prefs.sql import catalog

# Workers of Citus connect back to their coordinator under names that begin so.
_CITUS = "citus_internal"


def foreign_sessions(alias: str, known: Collection[str]) -> list[str]:
    """The sessions of a database that may be another release's, each in words.

    Those whose application is in `known` are not.
    """
    return [
        f"pid {pid} ({name or 'unnamed'}, user {user}, {client}, on {alias})"
        for pid, name, user, client in catalogs.rows(alias, catalog.sessions())
        if not is_ours(name) and name not in known and not name.startswith(_CITUS)
    ]


def _no_strangers(gate: Gate, inquiry: Inquiry, aliases: tuple[str, ...]) -> Finding:
    known = inquiry.settings.known_applications
    strangers = [each for alias in aliases for each in foreign_sessions(alias, known)]
    return none_of(
        gate,
        strangers[:10],
        "every session is of this release",
        "End them, or name in PREFS_KNOWN_APPLICATIONS what never touches preferences.",
        sessions=len(strangers),
    )


def no_previous_release(inquiry: Inquiry) -> Finding:
    """Every session is of this release."""
    return _no_strangers(Gate.NO_PREVIOUS_RELEASE, inquiry, (inquiry.alias,))


def no_unknown_session(inquiry: Inquiry) -> Finding:
    """The same on the replicas, too."""
    aliases = (inquiry.alias, *inquiry.settings.replicas)
    return _no_strangers(Gate.NO_UNKNOWN_SESSION, inquiry, aliases)

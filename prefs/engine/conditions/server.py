"""Gates on the settings and subscriptions of the server."""

from __future__ import annotations

from typing import Any

from django.db import connections

from prefs.engine import catalogs
from prefs.engine.findings import Finding, Inquiry, none_of
from prefs.engine.look import DURABLE, ISOLATION
from prefs.engine.states import Gate
from prefs.sql import catalog


def read_committed(inquiry: Inquiry) -> Finding:
    """No default gives a session another isolation level."""
    # By all of Django's aliases for this database, which may go to it by a proxy; no replicas.
    name = connections[inquiry.alias].settings_dict["NAME"]
    settings = {alias: connections[alias].settings_dict for alias in connections}
    wrong = [
        f"Django's OPTIONS of {alias!r} set an isolation level"
        for alias, its in settings.items()
        if its["NAME"] == name
        and alias not in inquiry.settings.replicas
        and _sets_isolation(its.get("OPTIONS", {}))
    ]
    for place, name, value in inquiry.look.set_to(ISOLATION):
        if value.lower() != "read committed":
            wrong.append(f"{name} is {value} ({place})")
    return none_of(
        Gate.READ_COMMITTED,
        wrong,
        "READ COMMITTED wherever a default is set",
        "Remove the setting, or set it to read committed, and reconnect.",
    )


def _sets_isolation(options: dict[str, Any]) -> bool:
    # Django's isolation_level is psycopg's enumeration, in which READ COMMITTED is 2.
    if options.get("isolation_level") not in (None, 2):
        return True
    startup = str(options.get("options", "")).lower()
    return any(level in startup for level in ("uncommitted", "repeatable", "serializable"))


def durable_commits(inquiry: Inquiry) -> Finding:
    """A commit is on disk when it returns."""
    wrong = [
        f"{name} is off ({place})"
        for place, name, value in inquiry.look.set_to(*DURABLE)
        if value.lower() in ("off", "false", "no", "0")
    ]
    return none_of(
        Gate.DURABLE_COMMITS,
        wrong,
        "a commit is on disk when it returns",
        "Turn it on: a commit that a crash can take back is not an acknowledged write.",
    )


def no_logical_apply(inquiry: Inquiry) -> Finding:
    """No subscription applies changes into our tables."""
    tables = [row[0] for row in catalogs.rows(inquiry.alias, catalog.subscribed_tables())]
    return none_of(
        Gate.NO_LOGICAL_APPLY,
        [f"a subscription applies changes into {', '.join(tables)}"] if tables else [],
        "no subscription applies changes into these tables",
        "Drop these tables from the subscription: what it applies is not mirrored.",
    )

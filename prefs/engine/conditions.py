"""What each gate asks the database, now, and the way to meet it.

A condition decides nothing else. Figures are stored with the transition they let through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connections

from prefs.checks import is_ours
from prefs.engine.evidence import (
    Evidence,
    last_mirror_on,
    last_settled,
    latest_evidence,
    seconds_since,
)
from prefs.engine.findings import Finding, Inquiry
from prefs.engine.integrity import remedy_for, wrong_tables, wrong_triggers
from prefs.engine.repair import Direction, count_users
from prefs.engine.states import Gate, State, current_state
from prefs.mapping import BLOB_COLUMN
from prefs.sql import archive, catalog

# Users whose blobs are looked at to predict the archive's size.
_SAMPLED = 20_000


def _tables_intact(inquiry: Inquiry) -> Finding:
    return _intact(Gate.TABLES_INTACT, wrong_tables(inquiry.alias), "tables, constraints, indexes")


def _triggers_intact(inquiry: Inquiry) -> Finding:
    [(_, _, has_column)] = inquiry.rows(catalog.state())
    wrong = wrong_triggers(inquiry.alias, has_column=has_column)
    return _intact(Gate.TRIGGERS_INTACT, wrong, "triggers")


def _intact(gate: Gate, wrong: list[str], what: str) -> Finding:
    return Finding(
        gate=gate,
        met=not wrong,
        found="; ".join(wrong) or f"{what} and functions are ours",
        remedy=f"Put back what was altered: {remedy_for(wrong)}.",
    )


def _read_committed(inquiry: Inquiry) -> Finding:
    wrong = [
        f"Django's OPTIONS of {alias!r} set an isolation level"
        for alias in inquiry.aliases()
        if _sets_isolation(connections[alias].settings_dict.get("OPTIONS", {}))
    ]
    names = ["default_transaction_isolation"]
    for place, name, value in inquiry.rows(catalog.stored_settings(), names=names):
        if value.lower() != "read committed":
            wrong.append(f"{name} is {value} ({place})")
    return Finding(
        gate=Gate.READ_COMMITTED,
        met=not wrong,
        found="; ".join(wrong) or "READ COMMITTED wherever a default is set",
        remedy="Remove the setting, or set it to read committed, and reconnect.",
    )


def _sets_isolation(options: dict[str, Any]) -> bool:
    # Django's isolation_level is psycopg's enumeration, in which READ COMMITTED is 2.
    if options.get("isolation_level") not in (None, 2):
        return True
    startup = str(options.get("options", "")).lower()
    return any(level in startup for level in ("uncommitted", "repeatable", "serializable"))


def _durable_commits(inquiry: Inquiry) -> Finding:
    names = ["fsync", "synchronous_commit"]
    wrong = [
        f"{name} is off ({place})"
        for place, name, value in inquiry.rows(catalog.stored_settings(), names=names)
        if value.lower() in ("off", "false", "no", "0")
    ]
    return Finding(
        gate=Gate.DURABLE_COMMITS,
        met=not wrong,
        found="; ".join(wrong) or "a commit is on disk when it returns",
        remedy="Turn it on: a commit that a crash can take back is not an acknowledged write.",
    )


def _no_logical_apply(inquiry: Inquiry) -> Finding:
    tables = [row[0] for row in inquiry.rows(catalog.subscribed_tables())]
    return Finding(
        gate=Gate.NO_LOGICAL_APPLY,
        met=not tables,
        found=f"a subscription applies changes into {', '.join(tables)}"
        if tables
        else "no subscription applies changes into these tables",
        remedy="Drop these tables from the subscription: what it applies is not mirrored.",
    )


def _judge(gate: Gate, inquiry: Inquiry, evidence: Evidence, fresh: bool) -> Finding:
    ttl = inquiry.settings.verification_ttl.total_seconds()
    met = evidence.run is not None and (not fresh or evidence.age <= ttl)
    found = evidence.found
    if evidence.run is not None and not met:
        found += f", {evidence.age:.0f} s ago; it counts for {ttl:.0f} s"
    return Finding(
        gate=gate,
        met=met,
        found=found,
        remedy=f"Run `manage.py backfill_prefs{_option(inquiry)}`, then `manage.py verify_prefs`.",
        figures=evidence.figures,
    )


def _option(inquiry: Inquiry) -> str:
    """The option by which a backfill leaves from what is the primary now."""
    reverse = Direction.of(current_state(inquiry.alias).route) is Direction.REVERSE
    return " --reverse" if reverse else ""


def _verified(inquiry: Inquiry) -> Finding:
    since = last_settled(inquiry.alias)
    return _judge(Gate.VERIFIED, inquiry, latest_evidence(inquiry.alias, since), fresh=True)


def _verified_since_mirror(inquiry: Inquiry) -> Finding:
    since = last_mirror_on(inquiry.alias)
    evidence = latest_evidence(inquiry.alias, since)
    return _judge(Gate.VERIFIED_SINCE_MIRROR, inquiry, evidence, fresh=False)


def _soak(gate: Gate, inquiry: Inquiry, state: State, needed: float) -> Finding:
    elapsed = seconds_since(inquiry.alias, state)
    return Finding(
        gate=gate,
        met=elapsed is not None and elapsed >= needed,
        found=f"{elapsed:.0f} s of {needed:.0f} s in {state}"
        if elapsed is not None
        else f"no drained transition to {state} is on record",
        remedy=f"Wait, or change PREFS_{gate.upper()}.",
        figures={"elapsed_seconds": elapsed, "needed_seconds": needed},
    )


def _cutover_soak(inquiry: Inquiry) -> Finding:
    needed = inquiry.settings.cutover_soak.total_seconds()
    return _soak(Gate.CUTOVER_SOAK, inquiry, State.READ_CUTOVER, needed)


def _contract_soak(inquiry: Inquiry) -> Finding:
    needed = inquiry.settings.contract_soak.total_seconds()
    return _soak(Gate.CONTRACT_SOAK, inquiry, State.MIRROR_OFF, needed)


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


def _no_previous_release(inquiry: Inquiry) -> Finding:
    return _foreign_sessions(Gate.NO_PREVIOUS_RELEASE, inquiry, (inquiry.alias,))


def _no_unknown_session(inquiry: Inquiry) -> Finding:
    aliases = (inquiry.alias, *inquiry.settings.replicas)
    return _foreign_sessions(Gate.NO_UNKNOWN_SESSION, inquiry, aliases)


def _nothing_depends(inquiry: Inquiry) -> Finding:
    dependents = [row[0] for row in inquiry.rows(catalog.dependents())]
    return Finding(
        gate=Gate.NOTHING_DEPENDS,
        met=not dependents,
        found="; ".join(dependents) or "nothing but its default and indexes",
        remedy=f"Change or drop what depends on the column {BLOB_COLUMN}; nothing is dropped"
        " by CASCADE.",
    )


def _archive_fits(inquiry: Inquiry) -> Finding:
    limit = inquiry.settings.archive_max_bytes
    users = count_users(inquiry.alias)
    percent = min(100.0, 100.0 * _SAMPLED / max(1, users))
    [(predicted,)] = inquiry.rows(archive.predicted_bytes(), users=users, percent=percent)
    return Finding(
        gate=Gate.ARCHIVE_FITS,
        met=predicted <= limit,
        found=f"an archive of about {predicted:,} bytes; at most {limit:,} are allowed",
        remedy="Make room, and raise PREFS_ARCHIVE_MAX_BYTES.",
        figures={"predicted_bytes": predicted, "limit_bytes": limit},
    )


def _column_exists(inquiry: Inquiry) -> Finding:
    [(_, _, exists)] = inquiry.rows(catalog.state())
    return Finding(
        gate=Gate.COLUMN_EXISTS,
        met=exists,
        found=f"the column {BLOB_COLUMN} {'exists' if exists else 'is gone'}",
        remedy="Run `manage.py rollback_prefs --to mirror_off`, which restores it.",
    )


def _no_users(inquiry: Inquiry) -> Finding:
    [(count,)] = inquiry.rows(catalog.users_up_to(), limit=1)
    return Finding(
        gate=Gate.NO_USERS,
        met=count == 0,
        found="there are users" if count else "there is no user",
        remedy="Take the transitions one at a time: `manage.py advance_prefs`.",
    )


CONDITIONS: dict[Gate, Callable[[Inquiry], Finding]] = {
    Gate.TABLES_INTACT: _tables_intact,
    Gate.TRIGGERS_INTACT: _triggers_intact,
    Gate.READ_COMMITTED: _read_committed,
    Gate.DURABLE_COMMITS: _durable_commits,
    Gate.NO_LOGICAL_APPLY: _no_logical_apply,
    Gate.VERIFIED: _verified,
    Gate.VERIFIED_SINCE_MIRROR: _verified_since_mirror,
    Gate.CUTOVER_SOAK: _cutover_soak,
    Gate.CONTRACT_SOAK: _contract_soak,
    Gate.NO_PREVIOUS_RELEASE: _no_previous_release,
    Gate.NO_UNKNOWN_SESSION: _no_unknown_session,
    Gate.NOTHING_DEPENDS: _nothing_depends,
    Gate.ARCHIVE_FITS: _archive_fits,
    Gate.COLUMN_EXISTS: _column_exists,
    Gate.NO_USERS: _no_users,
}

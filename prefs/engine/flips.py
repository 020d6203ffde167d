"""A flip is a barrier: change the switch, then wait out everyone who may have read it before.

One transaction under an advisory lock evaluates the gates, turns the switch and records
the transition as open; then the drain lists the transactions that may be writing by the
old route and waits until those are gone. No writer ever waits for it. It holds no session
state: a crash leaves the old state, or the new one with its transition open, and whoever
needs the transition settled drains again first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connections, transaction
from waffle import get_waffle_switch_model

from prefs.clock import Clock
from prefs.conf import Settings
from prefs.engine.evidence import database_now
from prefs.engine.gates import Finding, GateRefused, evaluate
from prefs.engine.states import Edge, State, current_state, last_transition
from prefs.models import Transition
from prefs.routing import DUAL_WRITE, READ_TABLES
from prefs.sql import catalog

# The one advisory lock of all transitions: the first bytes of the project's name.
TRANSITION_LOCK = int.from_bytes(b"prefs", "big")
_POLL = 0.02
_NOTICE_EVERY = 5.0


class StateMoved(RuntimeError):
    """Another transition was taken between the plan and the lock."""

    def __init__(self, edge: Edge, found: State) -> None:
        super().__init__(
            f"The transition from {edge} was not taken: the state is {found} by now. Look at"
            " `manage.py status_prefs`, then decide again."
        )


class OpenTransition(RuntimeError):
    """A transition that must settle before another can be taken."""

    def __init__(self, last: Transition) -> None:
        super().__init__(
            f"The transition from {last} (number {last.pk}) has not settled. Run the command"
            " that began it again: it finishes it first."
        )


@dataclass(frozen=True, kw_only=True)
class Signature:
    """Who takes a transition, and why: stored with it."""

    actor: str
    reason: str = ""


def lock_transitions(alias: str) -> None:
    """Take the advisory lock of all transitions until the end of this transaction."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [TRANSITION_LOCK])


def begin(edge: Edge, alias: str, settings: Settings) -> list[Finding]:
    """Under the lock: check the order, then the gates, as they are now.

    To be called in the transaction that takes the transition. Raises StateMoved,
    OpenTransition and GateRefused.
    """
    lock_transitions(alias)
    found = current_state(alias)
    if found is not edge.source:
        raise StateMoved(edge, found)
    last = last_transition(alias)
    if last is not None and last.settled_at is None:
        raise OpenTransition(last)
    findings = evaluate(edge, alias, settings)
    if not all(finding.met for finding in findings):
        raise GateRefused(edge, findings)
    return findings


def record(
    edge: Edge, alias: str, signature: Signature, findings: list[Finding], **figures: object
) -> Transition:
    """Store the transition, open, in the transaction that takes it."""
    return Transition.objects.using(alias).create(
        from_state=str(edge.source),
        to_state=str(edge.target),
        actor=signature.actor,
        reason=signature.reason,
        gates=[finding.record() for finding in findings],
        figures=figures,
        taken_at=database_now(alias),
    )


def flip(edge: Edge, alias: str, settings: Settings, signature: Signature) -> Transition:
    """Turn the switch of `edge` under its gates; the transition it returns is still open.

    Takes the advisory lock and the row lock of one switch, both for a moment.
    """
    with transaction.atomic(using=alias, durable=True):
        findings = begin(edge, alias, settings)
        turn(alias, edge.target)
        taken = record(edge, alias, signature, findings)
    forget_cached_switches()
    return taken


def turn(alias: str, target: State) -> None:
    """Set both switches to what `target` says; the one that stays is not written."""
    before = current_state(alias).route
    pairs = (
        (DUAL_WRITE, before.mirrored, target.route.mirrored),
        (READ_TABLES, before.reads_tables, target.route.reads_tables),
    )
    with connections[alias].cursor() as cursor:
        for name, old, new in pairs:
            if old != new:
                cursor.execute(catalog.set_switch(), {"name": name, "active": new})


def forget_cached_switches() -> None:
    """Let waffle's own readers see the change; nothing of ours reads its cache."""
    for name in (DUAL_WRITE, READ_TABLES):
        get_waffle_switch_model()(name=name).flush()


def drain(
    alias: str,
    clock: Clock,
    notice: Callable[[str], None],
    stopped: Callable[[], bool],
) -> bool:
    """Wait until every transaction is gone that may have read the switches before now.

    Returns False where `stopped` said so first. Locks nothing, so no writer waits for it.
    """
    with connections[alias].cursor() as cursor:
        cursor.execute(catalog.writers())
        waiting = dict(cursor.fetchall())
        told = clock.now()
        while waiting:
            if stopped():
                return False
            if clock.now() - told >= _NOTICE_EVERY:
                told = clock.now()
                notice(_describe(cursor, waiting))
            clock.sleep(_POLL)
            cursor.execute(catalog.writers())
            present = {row[0] for row in cursor.fetchall()}
            waiting = {key: pid for key, pid in waiting.items() if key in present}
    return True


def _describe(cursor: Any, waiting: dict[str, int | None]) -> str:
    pids = [pid for pid in waiting.values() if pid is not None]
    cursor.execute(catalog.describe_sessions(), {"pids": pids})
    sessions = [
        f"pid {pid} ({name or 'unnamed'}, {state}, {seconds or 0:.0f} s): {query}"
        for pid, name, state, seconds, query in cursor.fetchall()
    ]
    prepared = sum(1 for pid in waiting.values() if pid is None)
    if prepared:
        sessions.append(f"{prepared} prepared transactions (see pg_prepared_xacts)")
    return "draining; waiting for " + "; ".join(sessions)


def settle(taken: Transition, alias: str, **figures: object) -> None:
    """Record that a transition has reached everyone. Does nothing where it is recorded."""
    Transition.objects.using(alias).filter(pk=taken.pk, settled_at=None).update(
        settled_at=database_now(alias), figures={**taken.figures, **figures}
    )

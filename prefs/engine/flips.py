"""A flip is a barrier: change the switch, then wait out everyone who may have read it before.

One transaction under an advisory lock evaluates the gates, turns the switch and records
the transition as open; then the drain lists the transactions that may be writing by the
old route and waits until those are gone. No writer ever waits for it. It holds no session
state: a crash leaves the old state, or the new one with its transition open, and whoever
needs the transition settled drains again first.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

from django.db import connections, transaction
from waffle import get_waffle_sample_model, get_waffle_switch_model

from prefs.blockers import Blocker, described
from prefs.conf import Settings
from prefs.engine import audit
from prefs.engine.batches import Control
from prefs.engine.evidence import database_now
from prefs.engine.findings import Finding, Inquiry
from prefs.engine.gates import GateRefused, evaluate
from prefs.engine.states import Edge, State, current_state, open_transition
from prefs.errors import Refused
from prefs.models import Transition
from prefs.routing import CANARY, DUAL_WRITE, READ_TABLES, SAMPLES
from prefs.sql import canary as samples
from prefs.sql import catalog
from prefs.sql.asking import execute, rows

# The one advisory lock of all transitions: the first bytes of the project's name.
TRANSITION_LOCK = int.from_bytes(b"prefs", "big")
_POLL = 0.02
_NOTICE_EVERY = 5.0


class StateMoved(Refused):
    """Another transition was taken between the plan and the lock."""


class OpenTransition(Refused):
    """A transition that must settle before another can be taken."""

    def __init__(self, last: Transition) -> None:
        super().__init__(
            f"The transition from {last} (number {last.pk}) has not settled. Run the command"
            " that began it again: it finishes it first."
        )


def lock_transitions(alias: str) -> None:
    """Take the advisory lock of all transitions until the end of this transaction."""
    execute(connections[alias], "SELECT pg_advisory_xact_lock(%s)", [TRANSITION_LOCK])


def begin(edge: Edge, alias: str, settings: Settings) -> list[Finding]:
    """Under the lock: check the order, then the gates, as they are now.

    To be called in the transaction that takes the transition. Raises StateMoved,
    OpenTransition, GateRefused and NoSuchOverride.
    """
    lock_transitions(alias)
    found = current_state(alias)
    if found is not edge.source:
        raise StateMoved(
            f"The transition from {edge} was not taken: the state is {found} by now. Look at"
            " `manage.py status_prefs`, then decide again."
        )
    if last := open_transition(alias):
        raise OpenTransition(last)
    findings = evaluate(edge, Inquiry(alias=alias, settings=settings))
    if not all(finding.passes for finding in findings):
        raise GateRefused(f"The transition from {edge}", findings)
    return findings


def record(edge: Edge, alias: str, findings: list[Finding], **figures: object) -> Transition:
    """Store the transition, open, in the transaction that takes it; the audit as well."""
    gates, signed = [finding.record() for finding in findings], audit.signature_here()
    audit.record(alias, audit.Event.TRANSITION, str(edge), gates=gates, **figures)
    for finding in findings:
        if finding.overridden:
            subject = f"{edge}: {finding.gate}"
            audit.record(alias, audit.Event.OVERRIDE, subject, found=finding.found)
    return Transition.objects.using(alias).create(
        from_state=str(edge.source),
        to_state=str(edge.target),
        actor=signed.actor,
        reason=signed.reason,
        gates=gates,
        figures=figures,
        taken_at=database_now(alias),
    )


def flip(edge: Edge, alias: str, settings: Settings, *, durable: bool = True) -> Transition:
    """Turn the switch of `edge` under its gates; the transition it returns is still open.

    Takes the advisory lock and the row lock of one switch until it commits: at once, unless
    `durable` is off and the caller has a transaction open.
    """
    with transaction.atomic(using=alias, durable=durable):
        findings = begin(edge, alias, settings)
        canary = percentages(alias).get(CANARY)
        turn(alias, edge.target)
        ended = {"canary_before": float(canary)} if canary else {}
        taken = record(edge, alias, findings, **ended)
    transaction.on_commit(forget_cached_switches, using=alias)
    return taken


def turn(alias: str, target: State) -> None:
    """Set both switches to what `target` says; the one that stays is not written.

    The guard in the database ends the canary with it.
    """
    before = current_state(alias).route
    pairs = (
        (DUAL_WRITE, before.mirrored, target.route.mirrored),
        (READ_TABLES, before.reads_tables, target.route.reads_tables),
    )
    for name, old, new in pairs:
        if old != new:
            _set_switch(alias, name, new)


def _set_switch(alias: str, name: str, active: bool) -> None:
    execute(connections[alias], catalog.allow_turning())
    execute(connections[alias], catalog.set_switch(), {"name": name, "active": active})


def percentages(alias: str) -> dict[str, Decimal]:
    """The percentages of the samples by name; one whose row is missing counts as 0."""
    return dict(rows(connections[alias], samples.percentages()))


def put_back(alias: str, name: str, active: bool) -> None:
    """Set a switch to what the last transition on record gave it, past the gates.

    Only for a switch that was changed behind the guard and routes to a column that is gone.
    """
    with transaction.atomic(using=alias):
        lock_transitions(alias)
        _set_switch(alias, name, active)
        audit.record(alias, audit.Event.REPAIR, f"switch {name} put back")
    transaction.on_commit(forget_cached_switches, using=alias)


def forget_cached_switches() -> None:
    """Let waffle's own readers see the change; nothing of ours reads its cache."""
    for name in (DUAL_WRITE, READ_TABLES):
        get_waffle_switch_model()(name=name).flush()
    for name in SAMPLES:
        get_waffle_sample_model()(name=name).flush()


def drain(alias: str, control: Control) -> bool:
    """Wait until every transaction is gone that may have read the switches before now.

    Returns False where `control` said so first, by `stopped` or by `drain_timeout`. Locks nothing,
    so no writer waits for it.
    """
    clock, timeout = control.clock, control.drain_timeout
    began = told = clock.now()
    waiting = _writers(alias)
    while waiting:
        if control.stopped() or (timeout is not None and clock.now() - began >= timeout):
            return False
        if clock.now() - told >= _NOTICE_EVERY:
            told = clock.now()
            control.notice("draining; waiting for " + "; ".join(map(str, blockers(alias, waiting))))
        clock.sleep(_POLL)
        waiting &= _writers(alias)
    return True


def _writers(alias: str) -> set[str]:
    return {writer for (writer,) in rows(connections[alias], catalog.writers())}


def blockers(alias: str, waiting: Collection[str] | None = None) -> list[Blocker]:
    """Whom a drain waits for: those of `waiting`, or all whom one begun now would wait for."""
    return described(alias, _writers(alias) if waiting is None else waiting)


def settle(taken: Transition, alias: str, **figures: object) -> None:
    """Record that a transition has reached everyone. Does nothing where it is recorded."""
    with transaction.atomic(using=alias):
        open_still = Transition.objects.using(alias).filter(pk=taken.pk, settled_at=None)
        if open_still.update(settled_at=database_now(alias), figures={**taken.figures, **figures}):
            audit.record(alias, audit.Event.SETTLED, str(taken), **figures)

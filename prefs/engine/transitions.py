"""Advance and roll back: plan a transition, take it, and see it through to the end.

The one place that knows which action an edge stands for. A transition that a crash left
open is finished before anything else is begun.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prefs.blockers import Blocker
from prefs.conf import Settings
from prefs.engine import archiving, audit, column, flips
from prefs.engine.batches import Control
from prefs.engine.findings import Finding, Inquiry
from prefs.engine.gates import GateRefused, NoSuchOverride, evaluate
from prefs.engine.leases import Tally
from prefs.engine.ranges import join
from prefs.engine.repair import Direction, make_equal
from prefs.engine.states import (
    Action,
    Edge,
    OutOfOrder,
    State,
    current_state,
    edge,
    last_transition,
    open_transition,
    went_forward,
)
from prefs.engine.tasks import Task
from prefs.engine.workers import WorkerPool
from prefs.models import Run, Transition

REFUSALS = (GateRefused, NoSuchOverride, OutOfOrder, flips.StateMoved, flips.OpenTransition)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A transition that could be taken, with what its gates say now."""

    edge: Edge | None
    findings: tuple[Finding, ...]
    unsettled: Transition | None

    @property
    def passes(self) -> bool:
        return all(finding.passes for finding in self.findings)


def plan(
    alias: str,
    target: State | None,
    settings: Settings,
    *,
    forward: bool,
    inquiry: Inquiry | None = None,
) -> Plan:
    """The transition that `take_transition` would take. Locks nothing.

    Its gates ask `inquiry`, which may be that of other plans made at this moment. Raises OutOfOrder
    and NoSuchOverride.
    """
    state = current_state(alias)
    unsettled = open_transition(alias)
    finishes = unsettled is not None and _is_all(unsettled, target, forward)
    if target is state or finishes:
        return Plan(edge=None, findings=(), unsettled=unsettled)
    chosen = edge(state, target, forward=forward)
    inquiry = inquiry or Inquiry(alias=alias, settings=settings)
    findings = tuple(evaluate(chosen, inquiry))
    return Plan(edge=chosen, findings=findings, unsettled=unsettled)


def take_transition(
    alias: str, target: State | None, settings: Settings, control: Control, *, forward: bool
) -> Transition | None:
    """Take the transition to `target` (or the next one) and wait until it has settled.

    A transition that was left open is settled first; where that already leads to `target`,
    it is what is returned. None where the site was in `target` before. Where
    `control.stopped` or the drain's timeout ends it, the transition that is returned is open.
    Raises OutOfOrder, GateRefused, NoSuchOverride, StateMoved, LockNotObtained; a refusal is
    put into the audit first. Before a drop raises what `archiving.drop_archived` does.
    """
    with refusals_recorded(alias, way(target, forward=forward)):
        resumed = open_transition(alias)
        if resumed is not None:
            _see_through(resumed, alias, settings, control)
            if resumed.settled_at is None or _is_all(resumed, target, forward):
                return resumed
        state = current_state(alias)
        if target is state:
            return None
        taken = _begin(edge(state, target, forward=forward), alias, settings, control)
        _see_through(taken, alias, settings, control)
        return taken


def way(target: State | None, *, forward: bool) -> str:
    """What was asked for, in the words of the audit."""
    return f"{'advance' if forward else 'roll back'} to {target or 'the next state'}"


@contextmanager
def refusals_recorded(alias: str, subject: str) -> Iterator[None]:
    """Put a refusal into the audit, where it outlasts the transaction that it ends."""
    try:
        yield
    except REFUSALS as error:
        gates = [f.record() for f in error.findings] if isinstance(error, GateRefused) else []
        audit.record_apart(alias, audit.Event.REFUSAL, subject, why=str(error), gates=gates)
        raise


def _is_all(resumed: Transition, target: State | None, forward: bool) -> bool:
    """Whether to finish an open transition is all that is asked for.

    Who wants back, to no state in particular, is not served by the end of a way forward.
    """
    if target is None:
        return forward or not went_forward(resumed)
    return target is State(resumed.to_state)


def _begin(chosen: Edge, alias: str, settings: Settings, control: Control) -> Transition:
    match chosen.action:
        case Action.FLIP:
            return flips.flip(chosen, alias, settings)
        case Action.DROP:
            return archiving.drop_archived(chosen, alias, settings, control)
        case Action.CONTRACT_EMPTY:
            return column.drop(chosen, alias, settings, control)
        case Action.RESTORE:
            return column.add(chosen, alias, settings, control)


def _see_through(taken: Transition, alias: str, settings: Settings, control: Control) -> None:
    """Do what is left of an open transition, then record it as settled. May be repeated."""
    chosen = edge(State(taken.from_state), State(taken.to_state), forward=went_forward(taken))
    began = control.clock.now()
    if chosen.action is Action.RESTORE:
        run = _fill(alias, settings, control)
        if run.status != Run.Status.DONE:
            return
        column.finish(taken, alias, settings, control)
    elif not flips.drain(alias, control):
        return
    flips.settle(taken, alias, seconds=round(control.clock.now() - began, 3))
    taken.refresh_from_db(using=alias)


def _fill(alias: str, settings: Settings, control: Control) -> Run:
    """Fill the restored column from the tables: a reverse backfill of its own.

    The tables stay the primary and the only store that is written; what is written behind
    the fill, the catch-up after the next transition brings over.
    """
    last = last_transition(alias)
    run = join(Run.Kind.REVERSE, Run.Phase.COPY, alias, since=last.taken_at if last else None)
    return WorkerPool(run, _Fill(alias, settings, control)).work(1)


class _Fill(Task):
    """Give every user the blob that the tables make."""

    def batch(self, phase: str, cursor: Any, after: Any, upto: Any) -> Tally:
        return Tally(copied=make_equal(cursor, after, upto, Direction.REVERSE)[1])


def waits_for(taken: Transition, alias: str) -> list[Blocker]:
    """Whom the drain of an open transition waits for; a restore waits for nobody."""
    drains = taken.settled_at is None and taken.from_state != State.DROPPED
    return flips.blockers(alias) if drains else []


def settle_open_flip(alias: str, control: Control) -> None:
    """Finish the drain of a flip that a crash left open.

    Raises OpenTransition where a restore is open: `rollback_prefs` finishes that.
    """
    taken = open_transition(alias)
    if taken is None:
        return
    if taken.from_state == State.DROPPED:
        raise flips.OpenTransition(taken)
    if flips.drain(alias, control):
        flips.settle(taken, alias)

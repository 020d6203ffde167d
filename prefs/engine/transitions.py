"""Advance and roll back: plan a transition, take it, and see it through to the end.

The one place that knows which action an edge stands for. A transition that a crash left
open is finished before anything else is begun.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prefs.conf import Settings
from prefs.engine import column, flips
from prefs.engine.gates import Finding, evaluate
from prefs.engine.repair import Direction, count_users, differing, overwrite_mirror
from prefs.engine.runs import Control, Tally, guarded, take, walk
from prefs.engine.states import EDGES, Action, Edge, State, current_state, edge, last_transition
from prefs.models import Run, Transition


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A transition that could be taken, with what its gates say now."""

    edge: Edge | None
    findings: tuple[Finding, ...]
    unsettled: Transition | None

    @property
    def met(self) -> bool:
        return all(finding.met for finding in self.findings)


def plan(alias: str, target: State | None, settings: Settings, *, forward: bool) -> Plan:
    """The transition that `take_transition` would take. Raises OutOfOrder. Locks nothing."""
    state = current_state(alias)
    unsettled = _unsettled(alias)
    further = any(e.source is state and e.forward is forward for e in EDGES)
    # At the end of the way there can still be an open transition to finish.
    if target is state or (unsettled is not None and target is None and not further):
        return Plan(edge=None, findings=(), unsettled=unsettled)
    chosen = edge(state, target, forward=forward)
    findings = tuple(evaluate(chosen, alias, settings))
    return Plan(edge=chosen, findings=findings, unsettled=unsettled)


def take_transition(
    alias: str,
    target: State | None,
    settings: Settings,
    signature: flips.Signature,
    control: Control,
    *,
    forward: bool,
) -> Transition | None:
    """Take the transition to `target` (or the next one) and wait until it has settled.

    A transition that was left open is settled first; where that already leads to `target`,
    it is what is returned. None where the site was in `target` before. Where
    `control.stopped` interrupts it, the transition that is returned is still open.
    Raises OutOfOrder, GateRefused, StateMoved, LockNotObtained.
    """
    resumed = _unsettled(alias)
    if resumed is not None:
        _see_through(resumed, alias, settings, control)
        # Who wants back, to no state in particular, is not served by the end of a way forward.
        served = target is None and (forward or not _is_forward(resumed))
        if resumed.settled_at is None or served or target is State(resumed.to_state):
            return resumed
    state = current_state(alias)
    if target is state:
        return None
    chosen = edge(state, target, forward=forward)
    taken = _begin(chosen, alias, settings, signature, control)
    _see_through(taken, alias, settings, control)
    return taken


def _begin(
    chosen: Edge, alias: str, settings: Settings, signature: flips.Signature, control: Control
) -> Transition:
    match chosen.action:
        case Action.FLIP:
            return flips.flip(chosen, alias, settings, signature)
        case Action.DROP | Action.CONTRACT_EMPTY:
            return column.drop(chosen, alias, settings, signature, control.clock)
        case Action.RESTORE:
            return column.add(chosen, alias, settings, signature, control.clock)


def _see_through(taken: Transition, alias: str, settings: Settings, control: Control) -> None:
    """Do what is left of an open transition, then record it as settled. May be repeated."""
    chosen = edge(State(taken.from_state), State(taken.to_state), forward=_is_forward(taken))
    began = control.clock.now()
    if chosen.action is Action.RESTORE:
        run = _fill(alias, settings, control)
        if run.status != Run.Status.DONE:
            return
        column.finish(taken, alias, settings, control.clock)
    elif not flips.drain(alias, control.clock, control.notice, control.stopped):
        return
    flips.settle(taken, alias, seconds=round(control.clock.now() - began, 3))
    taken.refresh_from_db(using=alias)


def _is_forward(taken: Transition) -> bool:
    order = list(State)
    return order.index(State(taken.to_state)) > order.index(State(taken.from_state))


def _fill(alias: str, settings: Settings, control: Control) -> Run:
    """Fill the restored column from the tables: a reverse backfill of its own.

    The tables stay the primary and the only store that is written; what is written behind
    the fill, the catch-up after the next transition brings over.
    """
    last = last_transition(alias)
    since = last.taken_at if last else None
    run = take(Run.Kind.REVERSE, Run.Phase.COPY, alias, settings, since=since)

    def batch(cursor: Any, after: Any, upto: Any) -> Tally:
        ids = differing(cursor, after, upto)
        return Tally(copied=overwrite_mirror(cursor, ids, Direction.REVERSE))

    def work() -> bool:
        return walk(run, alias, settings, control, batch, count_users(alias))

    return guarded(run, alias, work)


def _unsettled(alias: str) -> Transition | None:
    last = last_transition(alias)
    return last if last is not None and last.settled_at is None else None


def settle_open_flip(alias: str, control: Control) -> None:
    """Finish the drain of a flip that a crash left open.

    Raises OpenTransition where a restore is open: `rollback_prefs` finishes that.
    """
    taken = _unsettled(alias)
    if taken is None:
        return
    if taken.from_state == State.DROPPED:
        raise flips.OpenTransition(taken)
    if flips.drain(alias, control.clock, control.notice, control.stopped):
        flips.settle(taken, alias)

"""Backfill: copy every user from the primary to the other store, then catch up.

Forward it inserts the typed rows that are missing, without locking a user, and overwrites
nothing. What that misses (a user written after their copy) catch-up finds by the
difference and overwrites under the user's lock; it runs where the route is mirrored, as
only there the result stays true. In reverse the blob of every user exists, so all of it is
catch-up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prefs.conf import Settings
from prefs.engine import transitions
from prefs.engine.evidence import database_now
from prefs.engine.repair import Direction, count_users, differing, overwrite_mirror
from prefs.engine.runs import (
    OPEN,
    ColumnGone,
    Control,
    Tally,
    enter_phase,
    guarded,
    resumable,
    take,
    walk,
)
from prefs.engine.states import State, current_state, last_transition
from prefs.models import Run
from prefs.routing import Route
from prefs.sql import copying


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a backfill would do: the dry run prints it, the run executes it."""

    direction: Direction
    route: Route
    users: int
    phases: tuple[Run.Phase, ...]
    resumes: Run | None

    def lines(self) -> list[str]:
        """The plan in sentences."""
        steps = {
            Run.Phase.COPY: "copy: insert the typed rows that are missing",
            Run.Phase.CATCH_UP: "catch-up: compare both stores, overwrite the mirror where"
            " they differ",
        }
        lines = [f"{self.direction.value}, about {self.users} users, route {self.route.name}"]
        lines += [f"{number}. {steps[phase]}" for number, phase in enumerate(self.phases, 1)]
        if Run.Phase.CATCH_UP not in self.phases:
            lines.append("no catch-up: dual-write is off, and writes go on behind the copy")
        if self.resumes:
            lines.append(f"resumes {self.resumes}, after {self.resumes.users} users")
        return lines


def plan(alias: str, direction: Direction) -> Plan:
    """What a backfill would do now. Raises PrimaryMoved and ColumnGone. Locks nothing."""
    state = current_state(alias)
    if state is State.DROPPED:
        raise ColumnGone
    direction.must_hold(state.route)
    phases = [Run.Phase.COPY] if direction is Direction.FORWARD else []
    if state.route.mirrored or direction is Direction.REVERSE:
        phases.append(Run.Phase.CATCH_UP)
    open_run = Run.objects.using(alias).filter(kind=_kind(direction), status__in=OPEN).first()
    return Plan(
        direction=direction,
        route=state.route,
        users=count_users(alias),
        phases=tuple(phases),
        resumes=open_run if open_run and resumable(open_run, _since(alias, direction)) else None,
    )


def _since(alias: str, direction: Direction) -> datetime | None:
    """When what an open run has done ceased to count.

    Copied rows stay copied whatever is flipped; a comparison holds between two flips.
    """
    copying_still = Run.objects.using(alias).filter(
        kind=_kind(direction), status__in=OPEN, phase=Run.Phase.COPY
    )
    if direction is Direction.FORWARD and copying_still.exists():
        return None
    last = last_transition(alias)
    return last.taken_at if last else None


def _kind(direction: Direction) -> Run.Kind:
    return Run.Kind.BACKFILL if direction is Direction.FORWARD else Run.Kind.REVERSE


def backfill(
    alias: str,
    direction: Direction,
    settings: Settings,
    control: Control,
    *,
    restart: bool = False,
) -> Run:
    """Run a backfill to its end, or until `control.stopped`; resumes one that is open.

    Settles an open flip first. Raises PrimaryMoved, ColumnGone, RunHeld, LeaseLost and
    LockUnavailable. Locks as `overwrite_mirror`, for one batch at a time.
    """
    transitions.settle_open_flip(alias, control)
    planned = plan(alias, direction)
    since = database_now(alias) if restart else _since(alias, direction)
    run = take(_kind(direction), planned.phases[0], alias, settings, since=since)

    def work() -> bool:
        for phase in planned.phases[_index(planned.phases, run.phase) :]:
            if run.phase != phase:
                enter_phase(run, alias, phase)
            batch = _batch(phase, direction)
            if not walk(run, alias, settings, control, batch, planned.users):
                return False
        return True

    return guarded(run, alias, work)


def _index(phases: tuple[Run.Phase, ...], phase: str) -> int:
    found = [index for index, each in enumerate(phases) if each == phase]
    return found[0] if found else 0


def _batch(phase: Run.Phase, direction: Direction) -> Any:
    if phase is Run.Phase.COPY:
        return _copy

    def catch_up(cursor: Any, after: Any, upto: Any) -> Tally:
        return _catch_up(cursor, after, upto, direction)

    return catch_up


def _copy(cursor: Any, after: Any, upto: Any) -> Tally:
    cursor.execute(copying.copy_missing(), {"after": after, "upto": upto})
    user_rows, notification_rows, dual_write, read_tables = cursor.fetchone()
    Direction.FORWARD.must_hold(Route.of(dual_write, read_tables))
    return Tally(copied=max(user_rows, notification_rows))


def _catch_up(cursor: Any, after: Any, upto: Any, direction: Direction) -> Tally:
    ids = differing(cursor, after, upto)
    return Tally(differing=len(ids), repaired=overwrite_mirror(cursor, ids, direction))

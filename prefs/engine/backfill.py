"""Backfill: copy every user from the primary to the other store, then catch up.

Forward it inserts the typed rows that are missing, without locking a user, and overwrites
nothing. What that misses (a user written after their copy) catch-up finds by the
difference and overwrites under the user's lock; it runs where the route is mirrored, as
only there the result stays true. In reverse the blob of every user exists, so all of it is
catch-up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import ProgrammingError

from prefs import conf
from prefs.conf import Settings
from prefs.ddl import LockNotObtained, TriesStopped
from prefs.engine import keys, transitions
from prefs.engine.batches import ColumnGone, Control, blob_was_gone
from prefs.engine.leases import OPEN, Tally
from prefs.engine.prediction import Prediction, predict, remember
from prefs.engine.ranges import ANEW, held, join, open_run, resumable
from prefs.engine.repair import Direction, count_users, make_equal
from prefs.engine.sight import REMEDY, describe, hidden_from, rows_of_everybody
from prefs.engine.states import State, current_state, last_transition
from prefs.engine.tasks import Task
from prefs.engine.workers import WorkerPool
from prefs.models import Run
from prefs.routing import Route
from prefs.sql import catalog, copying


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a backfill would do: the dry run prints it, the run executes it."""

    direction: Direction
    route: Route
    users: int
    phases: tuple[Run.Phase, ...]
    resumes: Run | None
    abandons: Run | None
    at_work: tuple[str, ...]
    prediction: Prediction

    def lines(self) -> list[str]:
        """The plan in sentences."""
        steps = {
            Run.Phase.COPY: "copy: insert the typed rows that are missing",
            Run.Phase.KEYS: "foreign keys: put back and validated; the copy goes without them",
            Run.Phase.CATCH_UP: "catch-up: compare both stores, overwrite the mirror where"
            " they differ",
        }
        lines = [f"{self.direction.value}, about {self.users} users, route {self.route.name}"]
        lines += [f"{number}. {steps[phase]}" for number, phase in enumerate(self.phases, 1)]
        if Run.Phase.CATCH_UP not in self.phases:
            lines.append("no catch-up: dual-write is off, and writes go on behind the copy")
        if found := self.resumes or self.abandons:
            lines += self._found(found)
        return [*lines, str(self.prediction)]

    def _found(self, run: Run) -> list[str]:
        what = "abandons" if self.abandons else "joins" if self.at_work else "resumes"
        done = f"in its {run.get_phase_display()}, after {run.so_far('users')} users"
        lines = [f"{what} {run}, {done}", *(f"at work on it: {name}" for name in self.at_work)]
        if self.abandons and self.at_work:
            lines.append("so this is refused until they have left it")
        if run.paused and self.resumes:
            lines.append("it is paused: backfill_prefs --resume lets it go on")
        return lines

    def figures(self) -> dict[str, Any]:
        """The plan as JSON."""
        return {
            "plan": self.lines(),
            "phases": self.phases,
            "resumes": self.resumes and self.resumes.pk,
            "abandons": self.abandons and self.abandons.pk,
            "predicted_users": self.prediction.rows,
            "predicted_table_bytes": self.prediction.table_bytes,
            "predicted_wal_bytes": self.prediction.wal_bytes,
        }


def plan(alias: str, direction: Direction, *, restart: bool = False) -> Plan:
    """What a backfill would do now. Raises PrimaryMoved and ColumnGone. Locks nothing."""
    state = current_state(alias)
    if state is State.DROPPED:
        raise ColumnGone
    direction.must_hold(state.route)
    phases = [Run.Phase.COPY] if direction is Direction.FORWARD else []
    foretold = _foretold(alias, direction)
    if phases and (keys.go_aside(alias, foretold.rows) or keys.missing(alias)):
        phases.append(Run.Phase.KEYS)
    if state.route.mirrored or direction is Direction.REVERSE:
        phases.append(Run.Phase.CATCH_UP)
    found = open_run(kind_of(direction), alias)
    goes_on = found and not restart and resumable(found, _since(alias, direction))
    return Plan(
        direction=direction,
        route=state.route,
        users=count_users(alias),
        phases=tuple(phases),
        resumes=found if goes_on else None,
        abandons=None if goes_on else found,
        at_work=tuple(each.holder for each in held(found, alias)) if found else (),
        prediction=foretold,
    )


def _foretold(alias: str, direction: Direction) -> Prediction:
    try:
        return predict(alias, direction)
    except ProgrammingError as error:
        if blob_was_gone(error):
            raise ColumnGone from error
        raise


def _since(alias: str, direction: Direction) -> datetime | None:
    """When what an open run has done ceased to count.

    Copied rows stay copied whatever is flipped; a catch-up holds from when a flip has settled:
    until then somebody may write by the route of before behind it.
    """
    copying_still = Run.objects.using(alias).filter(
        kind=kind_of(direction), status__in=OPEN, phase__in=(Run.Phase.COPY, Run.Phase.KEYS)
    )
    if direction is Direction.FORWARD and copying_still.exists():
        return None
    last = last_transition(alias)
    return (last.settled_at or last.taken_at) if last else None


def kind_of(direction: Direction) -> Run.Kind:
    """The kind of the runs of that direction."""
    return Run.Kind.BACKFILL if direction is Direction.FORWARD else Run.Kind.REVERSE


def backfill(
    alias: str,
    direction: Direction,
    settings: Settings,
    control: Control,
    *,
    restart: bool = False,
    workers: int = 1,
) -> Run:
    """Run a backfill to its end, or until `control.stopped`; joins or resumes one that is open.

    Settles an open flip first. Raises PrimaryMoved, ColumnGone, RunHeld, LeaseLost,
    LockUnavailable and UserRefused. Locks as `overwrite_mirror`, for one batch at a time.
    """
    transitions.settle_open_flip(alias, control)
    planned = plan(alias, direction, restart=restart)
    since = ANEW if restart else _since(alias, direction)
    kind, rival = kind_of(direction), kind_of(direction.opposite)
    run = join(kind, planned.phases[0], alias, since=since, rival=rival)
    remember(run, alias, planned.prediction)
    if run.phase == Run.Phase.COPY and keys.go_aside(alias, planned.prediction.rows):
        try:
            keys.put_aside(alias, settings, control)
        except (LockNotObtained, TriesStopped) as error:
            control.notice(f"{error} The foreign keys stay, and the copy takes longer.")
    return WorkerPool(run, _Backfill(alias, settings, control, direction)).work(workers)


def backfill_inline(alias: str, say: Callable[[str], None]) -> None:
    """Copy the blobs if there are few users; else say which command copies them.

    Few is `PREFS_INLINE_BACKFILL_MAX_USERS`; counting stops there. Locks as `backfill`.
    """
    if current_state(alias) is not State.EXPANDED:
        return
    if hidden := hidden_from(alias):
        say(f"    Nothing was copied here: {describe(hidden)}. {REMEDY}")
        return
    settings = conf.current()
    limit = settings.inline_backfill_max_users
    [(users,)] = rows_of_everybody(alias, catalog.users_up_to(), limit=limit + 1)
    if users > limit:
        say(
            f"    More than {limit} users: nothing was copied here."
            " Run `manage.py backfill_prefs`, then `manage.py advance_prefs`."
        )
    elif users:
        run = backfill(alias, Direction.FORWARD, settings, Control())
        say(f"    Copied the preferences of {run.copied} users.")


@dataclass
class _Backfill(Task):
    """Copy where rows are missing, put the keys back, catch up."""

    chores = (Run.Phase.KEYS,)
    unlocked = (Run.Phase.COPY,)

    direction: Direction

    def batch(self, phase: str, cursor: Any, after: Any, upto: Any) -> Tally:
        if phase != Run.Phase.COPY:
            found, overwritten = make_equal(cursor, after, upto, self.direction)
            return Tally(differing=found, repaired=overwritten)
        cursor.execute(copying.copy_missing(), {"after": after, "upto": upto})
        user_rows, notification_rows, dual_write, read_tables = cursor.fetchone()
        self.direction.must_hold(Route.of(dual_write, read_tables))
        return Tally(copied=max(user_rows, notification_rows))

    def chore(self, phase: str) -> bool:
        return keys.put_back(self.alias, self.settings, self.control)

    def phase_after(self, phase: str) -> Run.Phase | None:
        if phase == Run.Phase.COPY and keys.missing(self.alias):
            return Run.Phase.KEYS
        # Asked when the copy is done: a flip may have switched the mirror on meanwhile.
        copied = phase != Run.Phase.CATCH_UP and current_state(self.alias).route.mirrored
        return Run.Phase.CATCH_UP if copied else None

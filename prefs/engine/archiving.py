"""The drop and the archive that comes first: every blob is copied, and then its column goes.

In route TABLES the database refuses to change a blob, so what one batch has copied stays true
while the next is. Copying takes no lock that anybody waits for; the drop follows in a short
transaction of its own, which records the archive and ends its run. Whoever became a user in the
last moment before that is not in the archive, but in the tables: an INSERT is captured.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connections, transaction
from django.db.models import Q

from prefs import ddl
from prefs.conf import Settings
from prefs.engine import audit, column, ranges
from prefs.engine.archive import measure
from prefs.engine.batches import Control
from prefs.engine.evidence import database_now, last_settled
from prefs.engine.flips import begin
from prefs.engine.leases import LeaseLost, Tally
from prefs.engine.states import Edge, State, last_transition
from prefs.engine.tasks import Task
from prefs.engine.workers import WorkerPool
from prefs.errors import Refused
from prefs.models import Run, Transition
from prefs.sql import archive
from prefs.sql.asking import execute
from prefs.sql.names import ARCHIVE_TABLE


class ArchiveInterrupted(RuntimeError):
    """The operator stopped the archive; the drop has not begun."""

    def __init__(self, run: Run) -> None:
        self.run = run
        super().__init__(
            f"{run} was interrupted after {run.copied} users; nothing was dropped. Run the same"
            " command again and it resumes."
        )


class ArchiveStale(Refused):
    """Blobs were written after the archive began, so it may not be what the column holds."""


def drop_archived(edge: Edge, alias: str, settings: Settings, control: Control) -> Transition:
    """Archive every blob, then drop the column as `column.drop` does.

    A run that is open is worked on beside whoever does. One that was interrupted, or whose drop
    failed, goes on where it was; what users it missed a second pass adds. Raises
    ArchiveInterrupted, ArchiveStale, GateRefused, RunHeld, LeaseLost, LockUnavailable and
    LockNotObtained.
    """
    # Asked here so that no archive is made in vain; the drop asks again.
    with transaction.atomic(using=alias, durable=True):
        begin(edge, alias, settings)
    run = _join(alias)
    run = WorkerPool(run, _Archiving(alias, settings, control, edge, run)).work(1)
    taken = last_transition(alias, to_state=str(State.DROPPED))
    if run.status != Run.Status.DONE or taken is None:
        raise ArchiveInterrupted(run)
    return taken


def _join(alias: str) -> Run:
    """The open archive run, where what it has copied still counts, or a new one."""
    found = ranges.open_run(Run.Kind.ARCHIVE, alias)
    stale = found is not None and _written_since(found.started_at, alias)
    since = database_now(alias) if stale else None
    run = ranges.join(Run.Kind.ARCHIVE, Run.Phase.EMPTY, alias, since=since)
    with transaction.atomic(using=alias, durable=True):
        run = ranges.locked(run, alias)
        passed = run.phase in (Run.Phase.CATCH_UP, Run.Phase.DROP)
        if passed and run.status != Run.Status.DONE and not ranges.held(run, alias):
            run.ranges.using(alias).all().delete()
            ranges.enter_phase(run, Run.Phase.CATCH_UP, alias)
    return run


def _written_since(moment: datetime, alias: str) -> bool:
    """Whether a blob may have changed since: in another route, or by a repair in this one."""
    settled = last_settled(alias)
    if settled is not None and settled >= moment:
        return True
    kinds = (Run.Kind.REVERSE, Run.Kind.VERIFICATION)
    runs = Run.objects.using(alias).filter(kind__in=kinds)
    written = Q(copied__gt=0) | Q(repaired__gt=0)
    written |= Q(ranges__copied__gt=0) | Q(ranges__repaired__gt=0)
    later = Q(started_at__gt=moment) | Q(finished_at__gt=moment)
    later |= Q(lease_until__gt=moment) | Q(ranges__lease_until__gt=moment)
    return runs.filter(written, later).exists()


@dataclass
class _Archiving(Task):
    """All users in key order, then those who came behind the cursor, then the drop."""

    chores = (Run.Phase.EMPTY, Run.Phase.DROP)

    edge: Edge
    run: Run

    def batch(self, phase: str, cursor: Any, after: Any, upto: Any) -> Tally:
        cursor.execute(archive.add_missing(), {"after": after, "upto": upto})
        return Tally(copied=cursor.rowcount)

    def phase_after(self, phase: str) -> Run.Phase | None:
        return {
            Run.Phase.EMPTY: Run.Phase.ARCHIVE,
            Run.Phase.ARCHIVE: Run.Phase.CATCH_UP,
            Run.Phase.CATCH_UP: Run.Phase.DROP,
        }.get(Run.Phase(phase))

    def chore(self, phase: str) -> bool:
        if phase == Run.Phase.EMPTY:
            self._empty()
        else:
            self._drop()
        return True

    def _empty(self) -> None:
        """Empty the archive of an earlier drop, unless another process has, and copies by now."""

        def work() -> None:
            # Asked again: another may have dropped the column, and the archive is what it made.
            begin(self.edge, self.alias, self.settings)
            run = ranges.locked(self.run, self.alias)
            if run.phase == Run.Phase.EMPTY:
                execute(connections[self.alias], archive.empty())
                ranges.enter_phase(run, Run.Phase.ARCHIVE, self.alias)

        tries = self.control.tries(self.settings)
        wanted = ddl.Wanted(tables=(ARCHIVE_TABLE,))
        ddl.locked(connections[self.alias], "empty the archive", work, tries, wanted=wanted)

    def _drop(self) -> None:
        run = Run.objects.using(self.alias).get(pk=self.run.pk)
        made = measure(self.alias, run)

        def vouch() -> dict[str, Any]:
            """In the transaction of the drop: what was measured is still so, and still true.

            Ends the run, so that nobody adds to it.
            """
            now = ranges.locked(run, self.alias)
            if (now.phase, now.phase_began_at) != (Run.Phase.DROP, run.phase_began_at):
                raise LeaseLost(run)
            if _written_since(now.started_at, self.alias):
                raise ArchiveStale(
                    f"The column was written to after {run} began, by a flip, a repair or a"
                    " reverse backfill; nothing was dropped. Run the same command again: it"
                    " archives anew."
                )
            now.status, now.finished_at = Run.Status.DONE, database_now(self.alias)
            now.save(using=self.alias)
            audit.record(self.alias, audit.Event.ARCHIVE, "archive made", **made.figures())
            return {"archive": made.figures()}

        column.drop(self.edge, self.alias, self.settings, self.control, vouch=vouch)

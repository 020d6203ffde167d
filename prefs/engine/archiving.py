"""The drop and the archive that comes first: every blob is copied, and then its column goes.

In route TABLES the database refuses to change a blob, so what one batch has copied stays true
while the next is. Copying takes no lock that anybody waits for; the drop follows in a short
transaction of its own, which records the archive and ends its run. Whoever became a user in the
last moment before that is not in the archive, but in the tables: an INSERT is captured.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connections, transaction
from django.db.models import Q

from prefs import ddl
from prefs.conf import Settings
from prefs.engine import audit, column
from prefs.engine.archive import Archive, measure
from prefs.engine.batches import Control, guarded, walk
from prefs.engine.evidence import database_now, last_settled
from prefs.engine.flips import begin
from prefs.engine.leases import Tally, close, enter_phase, open_run, renew, take
from prefs.engine.repair import count_users
from prefs.engine.states import Edge
from prefs.errors import Refused
from prefs.models import Run, Transition
from prefs.sql import archive
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

    def __init__(self, run: Run) -> None:
        super().__init__(
            f"The column was written to after {run} began, by a flip, a repair or a reverse"
            " backfill; nothing was dropped. Run the same command again: it archives anew."
        )


def drop_archived(edge: Edge, alias: str, settings: Settings, control: Control) -> Transition:
    """Archive every blob, then drop the column as `column.drop` does.

    A run that was interrupted, or whose drop failed, goes on where it was; what users it
    missed a second pass adds. Raises ArchiveInterrupted, ArchiveStale, GateRefused, RunHeld,
    LeaseLost, LockUnavailable and LockNotObtained.
    """
    # Asked here so that no archive is made in vain; the drop asks again.
    with transaction.atomic(using=alias, durable=True):
        begin(edge, alias, settings)
    run = _take(alias, settings)
    taken: list[Transition] = []

    def work() -> bool:
        if not _archive_all(run, alias, settings, control):
            return False
        made = measure(alias, run)

        def vouch() -> dict[str, Any]:
            return _vouch(run, made, alias)

        taken.append(column.drop(edge, alias, settings, control, vouch=vouch))
        return True

    guarded(run, alias, work)
    if not taken:
        raise ArchiveInterrupted(run)
    return taken[0]


def _take(alias: str, settings: Settings) -> Run:
    """The open archive run, where what it has copied still counts, or a new one."""
    found = open_run(Run.Kind.ARCHIVE, alias)
    stale = found is not None and _written_since(found.started_at, alias)
    since = database_now(alias) if stale else None
    return take(Run.Kind.ARCHIVE, Run.Phase.ARCHIVE, alias, settings, since=since)


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


def _archive_all(run: Run, alias: str, settings: Settings, control: Control) -> bool:
    """Copy all users in key order, then those who came behind the cursor."""
    total = count_users(alias)
    if run.phase == Run.Phase.ARCHIVE:
        if run.cursor is None:
            _empty(run, alias, settings, control)
        if not walk(run, alias, settings, control, _batch, total):
            return False
    enter_phase(run, alias, Run.Phase.CATCH_UP)
    return walk(run, alias, settings, control, _batch, total)


def _empty(run: Run, alias: str, settings: Settings, control: Control) -> None:
    """Empty the archive of an earlier drop, under the token of the run that replaces it."""

    def work() -> None:
        renew(run, alias, settings)
        with connections[alias].cursor() as cursor:
            cursor.execute(archive.empty())

    ddl.locked(
        connections[alias],
        "empty the archive",
        work,
        control.tries(settings),
        wanted=ddl.Wanted(tables=(ARCHIVE_TABLE,)),
    )


def _batch(cursor: Any, after: Any, upto: Any) -> Tally:
    cursor.execute(archive.add_missing(), {"after": after, "upto": upto})
    return Tally(copied=cursor.rowcount)


def _vouch(run: Run, made: Archive, alias: str) -> dict[str, Any]:
    """In the transaction of the drop: the archive is still this run's, and still true.

    Ends the run, so that nobody adds to what was measured.
    """
    if _written_since(run.started_at, alias):
        raise ArchiveStale(run)
    close(run, alias, Run.Status.DONE)
    audit.record(alias, audit.Event.ARCHIVE, "archive made", **made.figures())
    return {"archive": made.figures()}

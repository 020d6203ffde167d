"""The archive of the blobs: evidence of what the column held when it was dropped.

The drop records how many documents were archived and the sum of their digests. A row goes
with its user and leaves its digest behind, so both can be proven as long as the archive stands.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db import connections

from prefs import ddl
from prefs.conf import Settings
from prefs.engine import audit
from prefs.engine.batches import Control, Progress
from prefs.engine.evidence import database_now, moment
from prefs.engine.flips import lock_transitions
from prefs.engine.sight import rows_of_everybody
from prefs.errors import PrefsError, Refused
from prefs.models import Run, Transition
from prefs.sql import archive
from prefs.sql.asking import execute
from prefs.sql.names import ARCHIVE_TABLE

_LISTED = 20


class NoArchive(PrefsError):
    """Nothing to check or to remove."""

    def __init__(self, why: str) -> None:
        super().__init__(f"There is no archive of a dropped column: {why}.")


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An archive as the drop recorded it: all that were archived, the departed as well."""

    run: int
    users: int
    checksum: str
    bytes: int
    made_at: datetime

    def figures(self) -> dict[str, Any]:
        """As it is recorded."""
        return {**asdict(self), "made_at": self.made_at.isoformat()}

    def removable_at(self, settings: Settings) -> datetime:
        """When its lifetime is over."""
        return self.made_at + settings.archive_lifetime


@dataclass(frozen=True, kw_only=True)
class Check:
    """What stands in the archive now, beside what was recorded."""

    made: Archive
    archived: int
    departed: int
    checksum: str
    bytes: int
    compared: int
    wrong: int
    listed: tuple[Any, ...]
    complete: bool

    @property
    def right(self) -> bool:
        """Whether nothing is missing, added or changed, as far as was compared."""
        sums = (self.archived + self.departed, self.checksum)
        return sums == (self.made.users, self.made.checksum) and not self.wrong


def measure(alias: str, run: Run) -> Archive:
    """The archive that a run has just made. Reads it once through; locks nothing."""
    [(archived, departed, checksum, size)] = rows_of_everybody(alias, archive.totals())
    return Archive(
        run=run.pk,
        users=archived + departed,
        checksum=checksum,
        bytes=size,
        made_at=database_now(alias),
    )


def recorded(alias: str) -> Archive:
    """The archive that the last drop recorded. Raises NoArchive where it stands no longer."""
    dropped = _drop(alias)
    runs = Run.objects.using(alias).filter(kind=Run.Kind.ARCHIVE)
    # One that has not emptied the archive of the drop before leaves it as it is.
    last = runs.exclude(phase=Run.Phase.EMPTY).order_by("-id").first()
    if dropped is None:
        raise NoArchive(_without_drop(last) if last else "no drop is on record that made one")
    found = dict(dropped.figures["archive"])
    if removed := found.pop("removed_at", None):
        raise NoArchive(f"that of run {found['run']} was removed at {removed}")
    if last is not None and last.pk != found["run"]:
        raise NoArchive(f"{_without_drop(last)}, and it emptied that of run {found['run']}")
    return Archive(**{**found, "made_at": datetime.fromisoformat(found["made_at"])})


def _drop(alias: str) -> Transition | None:
    """The last drop that made an archive; that of a site without users makes none."""
    drops = Transition.objects.using(alias).filter(figures__has_key="archive")
    return drops.order_by("-id").first()


def _without_drop(run: Run) -> str:
    return f"{run} is {run.status}, and no drop has followed it"


def check(alias: str, control: Control) -> Check:
    """Count the archive, add its digests up, and make the digest of every document again.

    Count and sum are of one snapshot. Where `control.stopped` interrupts it, not all are
    compared. Raises NoArchive. Locks nothing.
    """
    made = recorded(alias)
    [(archived, departed, checksum, size)] = rows_of_everybody(alias, archive.totals())
    compared, wrong, listed, complete = 0, 0, list[Any](), False
    place = {"after": None, "size": control.batch_size}
    while not complete and not control.stopped():
        [(place["after"], users, keys)] = rows_of_everybody(alias, archive.compared(), **place)
        compared, wrong, complete = compared + users, wrong + len(keys), users == 0
        listed += keys[: _LISTED - len(listed)]
        done = Progress(phase="check", users=compared, total=archived, differing=wrong)
        control.progress(done)
    return Check(
        made=made,
        archived=archived,
        departed=departed,
        checksum=checksum,
        bytes=size,
        compared=compared,
        wrong=wrong,
        listed=tuple(listed),
        complete=complete,
    )


def removable(alias: str, settings: Settings) -> Archive:
    """The archive, where its lifetime is over. Raises NoArchive, and Refused."""
    made = recorded(alias)
    until = made.removable_at(settings)
    if database_now(alias) < until:
        days = settings.archive_lifetime.total_seconds() / 86_400
        raise Refused(
            f"The archive was made at {moment(made.made_at)} and can be removed from"
            f" {moment(until)} on (PREFS_ARCHIVE_LIFETIME, {days:g} days); nothing was removed."
        )
    return made


def remove(alias: str, settings: Settings, control: Control) -> Archive:
    """Remove the archive, its departures as well, and put it on record. Returns what it was.

    Takes the advisory lock of transitions and ACCESS EXCLUSIVE on the archive, for a moment.
    Raises NoArchive, Refused, LockNotObtained and TriesStopped.
    """

    def work() -> Archive:
        lock_transitions(alias)
        made, dropped = removable(alias, settings), _drop(alias)
        assert dropped is not None
        execute(connections[alias], archive.empty())
        dropped.figures["archive"]["removed_at"] = database_now(alias).isoformat()
        dropped.save(using=alias, update_fields=["figures"])
        audit.record(alias, audit.Event.ARCHIVE, "archive removed", **made.figures())
        return made

    return ddl.locked(
        connections[alias],
        "remove the archive",
        work,
        control.tries(settings),
        wanted=ddl.Wanted(tables=(ARCHIVE_TABLE,)),
    )

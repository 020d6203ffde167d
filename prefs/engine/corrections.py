"""What is in quarantine, corrected by an operator.

A correction is applied to the primary under the user's row lock, after looking there whether
the user still has what the operator saw; both stores are equal when the lock is released. A
value that does not fit its leaf is refused before anything is touched.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prefs.codec import unknown_leaves
from prefs.conf import Settings
from prefs.engine import audit
from prefs.engine.batches import Control, transaction_of_a_batch
from prefs.engine.leases import Tally
from prefs.engine.quarantine import DOCUMENT, EXPECTED, NotJson, Selection, query, shown
from prefs.engine.ranges import ANEW, join
from prefs.engine.tasks import Task
from prefs.engine.workers import WorkerPool
from prefs.errors import Mistake
from prefs.managers import lock_users
from prefs.models import AuditEntry, Run
from prefs.sql import copying
from prefs.sql import quarantine as sql
from prefs.sql.changes import change


class Unfit(Mistake):
    """A correction that would leave the leaf in quarantine, or put another one there."""

    def __init__(self, leaf: str, value: str | None, expected: str) -> None:
        super().__init__(
            f"{leaf or 'document'}: {shown(value)} is not {expected}. Nothing was changed."
        )


@dataclass(frozen=True, kw_only=True)
class Correction(Selection):
    """The value `new` (JSON text) in the place of what is selected, None to take it out.

    Where the whole document is taken out, an empty one is left.
    """

    leaf: str
    new: str | None

    @property
    def result(self) -> str | None:
        """The JSON text that stands there afterwards, None where nothing does."""
        return "{}" if self.new is None and not self.leaf else self.new

    def change(self) -> str:
        """It as a change of a document (see prefs.sql.changes)."""
        return _at(self.leaf, "null" if self.result is None else f"[{self.result}]")


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """What a correction did; `run` is None where it was of one user.

    Those `skipped` had another value by the time they were locked.
    """

    run: Run | None
    users: int
    skipped: int


def must_fit(alias: str, leaf: str, new: str) -> None:
    """Raise NotJson or Unfit unless `new` at `leaf` would leave nothing in quarantine there.

    Where `leaf` is an object of leaves, all that it has must fit.
    """
    query(alias, "SELECT %(new)s::jsonb IS NULL", {"new": new})
    document = _at(leaf, new)
    for misfit in query(alias, sql.misfits(), {"document": document}):
        raise Unfit(*misfit)
    try:
        unknown = unknown_leaves(json.loads(document))
    except (ValueError, RecursionError) as error:
        raise NotJson(new, error) from error
    for each in unknown:
        raise Unfit(each, new, EXPECTED[each])


def correct(alias: str, correction: Correction, settings: Settings, control: Control) -> Corrected:
    """Correct everybody whom the correction selects, or until `control.stopped`.

    Begun again it goes on, since who was corrected is no longer selected. Takes row locks as
    `correct_users`, for one batch at a time. Raises NotJson and Unfit, then nothing was
    changed; MissingSwitch, UnsupportedIsolation, RunHeld, LeaseLost and LockUnavailable; for
    one user Django's OperationalError where the row stays locked.
    """
    if correction.new is not None:
        must_fit(alias, correction.leaf, correction.new)
    if correction.value is not None:
        query(alias, "SELECT %(value)s::jsonb IS NULL", {"value": correction.value})
    task = _Correcting(alias, settings, control, correction)
    if correction.user is not None:
        with transaction_of_a_batch(alias) as cursor:
            tally = task.batch(Run.Phase.CORRECT, cursor, None, None)
            skipped = tally.differing - tally.repaired
            _record(alias, correction, users=tally.repaired, skipped=skipped)
        return Corrected(run=None, users=tally.repaired, skipped=skipped)
    # An open run may have been of another correction: each begins at the first user.
    run = join(Run.Kind.CORRECTION, Run.Phase.CORRECT, alias, since=ANEW)
    # A process that is killed leaves this entry, and the exact counts in its run.
    _record(alias, correction, run=run.pk)
    run = WorkerPool(run, task).work(1)
    done = Corrected(run=run, users=run.repaired, skipped=run.differing - run.repaired)
    _record(alias, correction, run=run.pk, users=done.users, skipped=done.skipped)
    return done


@dataclass
class _Correcting(Task):
    """Correct everybody whom a correction selects."""

    correction: Correction

    def batch(self, phase: str, cursor: Any, after: Any, upto: Any) -> Tally:
        cursor.execute(sql.holders(), self.correction.parameters(after=after, upto=upto))
        ids = [key for (key,) in cursor.fetchall()]
        return Tally(differing=len(ids), repaired=correct_users(cursor, ids, self.correction))


def _record(alias: str, correction: Correction, **figures: Any) -> None:
    event, subject = AuditEntry.Event.CORRECTION, correction.leaf or DOCUMENT
    audit.record(alias, event, subject, **vars(correction), **figures)


def correct_users(cursor: Any, ids: Sequence[Any], correction: Correction) -> int:
    """Correct those of the users `ids` who have the entry now; returns how many.

    Takes their row locks in key order until the transaction ends, and looks at the primary
    under them. Where the blob is the primary the tables of all of them are made equal to it,
    so that what is in quarantine no longer leaves the list at once.
    """
    locked = lock_users(cursor, ids) if ids else None
    if locked is None:
        return 0
    route, keys = locked
    cursor.execute(sql.still_holders(route), correction.parameters(ids=keys))
    users = [row[0] for row in cursor.fetchall()]
    cursor.execute(change(route), {"users": users, "changes": [correction.change()] * len(users)})
    if not route.reads_tables:
        cursor.execute(copying.overwrite_tables(), {"ids": keys})
    return len(users)


def _at(leaf: str, text: str) -> str:
    """The JSON text of a document that has `text` at `leaf`."""
    for name in reversed(leaf.split(".") if leaf else []):
        text = f"{{{json.dumps(name)}: {text}}}"
    return text

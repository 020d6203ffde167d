"""The backfill: everybody copied, caught up, resumed; what fits no column."""

from __future__ import annotations

from prefs.engine.evidence import moment
from prefs.engine.states import State
from prefs.models import AuditEntry, Run
from prefs.plan.acceptance.rehearsals import rehearsal
from prefs.plan.criteria import Criterion, Verdict, none_wrong
from prefs.plan.evidence import Evidence


def _copied(evidence: Evidence) -> Verdict:
    runs, found = evidence.done(Run.Kind.BACKFILL), evidence.found
    assert found is not None
    if not runs:
        return False, f"no backfill has come to its end; {found.copied:,} of {found.users:,} users"
    copied, batches = (sum(getattr(run, what) for run in runs) for what in ("copied", "batches"))
    ended = f"{runs[0]} ended {moment(runs[0].finished_at)}"
    return True, f"{ended}; {copied:,} users copied in {batches:,} batches up to now"


def _caught_up(evidence: Evidence) -> Verdict:
    state = evidence.state
    if state is State.EXPANDED:
        return False, "dual-write is off: what users write goes to the column alone"
    if state is not State.DUAL_WRITE:
        return True, "the tables are what is written first"
    # In every state after `expanded` the tables are written: they fall behind there alone.
    on = evidence.taken_to(State.DUAL_WRITE)
    since = on.settled_at if on else None
    runs = [
        run
        for run in evidence.done(Run.Kind.BACKFILL)
        if run.phase == Run.Phase.CATCH_UP and since and run.phase_began_at > since
    ]
    if not runs:
        return False, "no catch-up has come to its end since dual-write is on"
    return True, f"{runs[-1]} compared {runs[-1].users:,} users, {moment(runs[-1].finished_at)}"


def _resumed(evidence: Evidence) -> Verdict:
    ended = {run.pk: run for run in evidence.runs if run.status == Run.Status.DONE}
    for entry in evidence.entries(AuditEntry.Event.RESUMED):
        if (run := ended.get(entry.figures["run"])) is not None:
            where = f"{entry.figures['left']} at {entry.figures['users']:,} users"
            when = moment(entry.recorded_at)
            return True, f"{run} was left {where}, went on {when} and came to its end"
    made, why = rehearsal(evidence)
    if made is not None and made.figures.get("interrupted"):
        return True, f"a backfill was stopped and went on in {made}"
    return False, f"no run that was left has gone on to its end; {why}"


def _quarantine(evidence: Evidence) -> Verdict:
    assert evidence.found is not None
    leaves = evidence.found.quarantined
    open_ = tuple(f"{each}, not accepted" for each in leaves if each.needs_attention)
    kept = sum(each.users for each in leaves)
    return none_wrong(open_, f"{kept:,} odd values are kept, all accepted" if kept else "none")


BACKFILL = (
    Criterion(
        key="copied",
        text="A backfill has copied every document to the tables.",
        judge=_copied,
        moot=True,
    ),
    Criterion(
        key="caught_up",
        text="What was written since the copy is in the tables too.",
        judge=_caught_up,
        moot=True,
    ),
    Criterion(
        key="resumable",
        text="A run that was stopped went on where it was, to its end.",
        judge=_resumed,
        moot=True,
    ),
    Criterion(
        key="quarantine",
        text="Values that fit no column are kept, counted and accepted by somebody.",
        judge=_quarantine,
    ),
)

"""The one thing to do next, in every state and situation: one sentence, one command.

What stands in the way comes first (a problem, an open transition, an open run), then what the
state itself asks for. On the way back the next step is one back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from prefs.engine.evidence import Kind, Standing, moment
from prefs.engine.leases import OPEN
from prefs.engine.ranges import held
from prefs.engine.states import Gate, State, command, is_forward, went_forward
from prefs.engine.status import Status
from prefs.models import Run

_COMMANDS = {
    Run.Kind.BACKFILL: "backfill_prefs",
    Run.Kind.REVERSE: "backfill_prefs --reverse",
    Run.Kind.VERIFICATION: "verify_prefs",
    Run.Kind.ARCHIVE: "advance_prefs",
    Run.Kind.CORRECTION: "quarantine_prefs --correct",
}
# Where a run that was left is still worth going on with.
_WORTH_IT = {
    State.EXPANDED: (Run.Kind.BACKFILL, Run.Kind.CORRECTION),
    State.DUAL_WRITE: (Run.Kind.BACKFILL, Run.Kind.VERIFICATION, Run.Kind.CORRECTION),
    State.READ_CUTOVER: (Run.Kind.REVERSE, Run.Kind.VERIFICATION, Run.Kind.CORRECTION),
    State.MIRROR_OFF: (Run.Kind.ARCHIVE, Run.Kind.CORRECTION),
    State.DROPPED: (Run.Kind.CORRECTION,),
}
_SOAKS = (Gate.CUTOVER_SOAK, Gate.CONTRACT_SOAK)


@dataclass(frozen=True, kw_only=True)
class NextStep:
    """What to do next, by which command (none: wait, or decide), and from when on."""

    says: str
    command: str = ""
    not_before: datetime | None = None

    def figures(self) -> dict[str, Any]:
        """It as JSON."""
        return {
            "next": self.says,
            "next_command": self.command or None,
            "next_not_before": self.not_before and self.not_before.isoformat(),
        }


def next_step(found: Status) -> NextStep:
    """What an operator should do next. Locks nothing."""
    if found.problems:
        first = found.problems[0]
        return NextStep(says=f"Repair first: {first.what}. {first.repair}".strip())
    if last := found.unsettled:
        finish = f"{command(forward=not _goes_back(found))} --to {last.to_state}"
        waits = "".join(f"; waiting for {each}" for each in found.waits_for[:1])
        return _run(finish, f"it finishes the transition {last}, which has not settled{waits}")
    return _open_run(found) or _BY_STATE[found.state](found)


def _goes_back(found: Status) -> bool:
    """Whether the last transition was one back."""
    return found.last is not None and not went_forward(found.last)


def _done_since(found: Status, kind: Run.Kind, phase: Run.Phase) -> bool:
    """Whether such a phase was gone through whole since the last transition."""
    runs = Run.objects.using(found.alias).filter(kind=kind, phase=phase, status=Run.Status.DONE)
    since = found.last.settled_at if found.last else None
    return (runs.filter(phase_began_at__gt=since) if since else runs).exists()


def _run(words: str, why: str) -> NextStep:
    return NextStep(says=f"Run `manage.py {words}`: {why}.", command=f"manage.py {words}")


def _open_run(found: Status) -> NextStep | None:
    """What a run under way, or left, asks for."""
    for run in Run.objects.using(found.alias).filter(status__in=OPEN).order_by("-id"):
        again = _COMMANDS[Run.Kind(run.kind)]
        at_work = bool(held(run, found.alias))
        if run.paused and (at_work or run.kind in _WORTH_IT[found.state]):
            return _run(f"{again} --resume", f"{run} is paused")
        if at_work:
            return NextStep(says=f"Wait for {run}: it is under way, in its {run.phase} phase.")
        if run.kind in _WORTH_IT[found.state]:
            return _run(again, f"{run} resumes, which {_left(run)}")
    return None


def _left(run: Run) -> str:
    """How a run stands that nobody holds."""
    if run.status == Run.Status.RUNNING:
        return f"is in its {run.phase} phase, and may have been left by a process that is gone"
    error = f" ({run.error.splitlines()[0][:200]})" if run.error else ""
    return f"was left in its {run.phase} phase, {run.status}{error}"


def _expanded(found: Status) -> NextStep:
    if not found.users:
        return _step(found, State.DROPPED, "there is no user to move")
    copies = Run.objects.using(found.alias).filter(kind=Run.Kind.BACKFILL, status=Run.Status.DONE)
    if not copies.exists():
        return _run("backfill_prefs", "it copies the blobs to the tables")
    again = "to go the way again, " if _goes_back(found) else ""
    return _step(found, State.DUAL_WRITE, f"{again}from then on every write goes to both stores")


def _dual_write(found: Status) -> NextStep:
    if _goes_back(found) and found.standing.kind is Kind.VOID:
        return _step(
            found,
            State.EXPANDED,
            "the last step of the way back (or `manage.py backfill_prefs`, to go forward again)",
        )
    caught_up = _done_since(found, Run.Kind.BACKFILL, Run.Phase.CATCH_UP)
    if not caught_up and found.standing.kind is not Kind.VERIFIED:
        return _run("backfill_prefs", "it catches up with what was written since the copy")
    return _verified(found) or _step(found, State.READ_CUTOVER, "reads come from the tables then")


def _read_cutover(found: Status) -> NextStep:
    if not _goes_back(found):
        return _verified(found) or _step(
            found, State.MIRROR_OFF, "the column is no longer written then"
        )
    caught_up = _done_since(found, Run.Kind.REVERSE, Run.Phase.CATCH_UP)
    if not caught_up and found.standing.kind is not Kind.VERIFIED:
        return _run("backfill_prefs --reverse", "the column is behind the tables")
    # On the way back a verification counts whatever its age.
    unknown = None if found.standing.kind is Kind.STALE else _verified(found)
    return unknown or _step(found, State.DUAL_WRITE, "reads come from the column then")


def _verified(found: Status) -> NextStep | None:
    """What is left to do before the stores are known to be equal."""
    match found.standing.kind:
        case Kind.VERIFIED:
            return None
        case Kind.DIFFERING:
            return _differing(found.standing)
        case Kind.STALE:
            return _soak(found) or _run("verify_prefs", "the last verification is stale")
        case Kind.MISMATCHED:
            return _run("verify_prefs", found.standing.why)
        case _:
            return _run("verify_prefs", "no verification since the last transition is on record")


def _differing(standing: Standing) -> NextStep:
    assert standing.run is not None
    if standing.run.repaired == standing.run.differing:
        why = f"the last one repaired {standing.run.repaired} users; one must find none"
        return _run("verify_prefs", why)
    return _run("verify_prefs --repair", f"{standing.differing} users differ; then verify again")


def _mirror_off(found: Status) -> NextStep:
    if _goes_back(found):
        return _step(found, State.READ_CUTOVER, "the column is mirrored again then")
    return _step(found, State.DROPPED, "it archives the column, then drops it")


def _dropped(found: Status) -> NextStep:
    if found.archive is None:
        return NextStep(says="Nothing: the migration is at its end.")
    until = found.archive.removable_at(found.settings)
    if found.asked_at < until:
        says = f"Nothing until {moment(until)}: then `manage.py archive_prefs --remove` may remove"
        return NextStep(says=f"{says} the archive.", not_before=until)
    return _run("archive_prefs --remove", "the time for which the archive is kept is over")


def _step(found: Status, target: State, why: str) -> NextStep:
    """The transition to `target`, or what its first unmet gate asks for."""
    plan = next(each for each in found.plans if each.edge and each.edge.target is target)
    unmet = [finding for finding in plan.findings if not finding.passes]
    if not unmet:
        return _run(f"{command(forward=is_forward(found.state, target))} --to {target}", why)
    waits = all(finding.gate in _SOAKS for finding in unmet)
    soak = _soak(found) if waits else None
    first = next((each for each in unmet if each.gate not in _SOAKS), unmet[0])
    gate = f"the gate {first.gate} ({first.found}; {first.remedy.rstrip('.')})"
    return soak or NextStep(says=f"Meet {gate}, which the step to {target} waits for.")


def _soak(found: Status) -> NextStep | None:
    """To wait for the end of the soak that is running, if one is."""
    last, settings = found.last, found.settings
    lengths = {
        State.READ_CUTOVER: (settings.cutover_soak, "verify again, then advance"),
        State.MIRROR_OFF: (settings.contract_soak, "advance: the column is archived and dropped"),
    }
    length, then = lengths.get(found.state, (timedelta(0), ""))
    if _goes_back(found) or last is None or last.settled_at is None:
        return None
    end = last.settled_at + length
    if found.asked_at >= end:
        return None
    says = f"Wait until {moment(end)}, when the soak of {found.state} ends; then {then}."
    return NextStep(says=says, not_before=end)


_BY_STATE: dict[State, Callable[[Status], NextStep]] = {
    State.EXPANDED: _expanded,
    State.DUAL_WRITE: _dual_write,
    State.READ_CUTOVER: _read_cutover,
    State.MIRROR_OFF: _mirror_off,
    State.DROPPED: _dropped,
}

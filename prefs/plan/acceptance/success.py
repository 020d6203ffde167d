"""What the whole migration is judged by at its end."""

from __future__ import annotations

from functools import partial

from prefs.engine.flaws import Flaw
from prefs.engine.states import Gate, State
from prefs.plan.acceptance.rehearsals import rehearsal
from prefs.plan.criteria import Criterion, Verdict, gated, none_wrong, stands
from prefs.plan.evidence import Evidence


def _nothing_lost(evidence: Evidence) -> Verdict:
    found, why = rehearsal(evidence)
    if found is None:
        return False, why
    figures = found.figures
    counted = f"{figures['lost_writes']} lost, {figures['failed_requests']} failed"
    return True, f"{figures['requests']:,} requests in {found}: {counted}"


def _equal_twice(evidence: Evidence) -> Verdict:
    before = gated(evidence, State.READ_CUTOVER, Gate.VERIFIED)
    after = gated(evidence, State.MIRROR_OFF, Gate.VERIFIED)
    return (before[0] and after[0]), before[1] if not before[0] else after[1]


def _intact(evidence: Evidence) -> Verdict:
    wrong: tuple[Flaw, ...] = (*evidence.tables, *evidence.triggers, *evidence.rights)
    return none_wrong(wrong, "tables, triggers and rights are as they were made")


SUCCESS = (
    Criterion(
        key="nothing_lost",
        text="No acknowledged write is lost, and no request fails, in any phase or on the way"
        " back.",
        judge=_nothing_lost,
    ),
    Criterion(
        key="equal_twice",
        text="Both stores are equal for everybody before reads move, and before the column stands"
        " still.",
        judge=_equal_twice,
        moot=True,
    ),
    Criterion(
        key="tables_alone",
        text="Preferences are read from the typed tables and written there alone; the column is"
        " gone.",
        judge=partial(stands, target=State.DROPPED),
    ),
    Criterion(
        key="intact",
        text="What was installed is unaltered, and nobody has gained a right by it.",
        judge=_intact,
    ),
)

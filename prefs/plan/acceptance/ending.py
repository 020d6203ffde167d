"""The way back, monitoring, and the end of the column."""

from __future__ import annotations

from functools import partial

from prefs.engine.evidence import moment
from prefs.engine.states import Gate, State
from prefs.engine.transitions import Plan
from prefs.plan.acceptance.rehearsals import rehearsal
from prefs.plan.criteria import Criterion, Verdict, gated, stands
from prefs.plan.evidence import METRICS, Evidence


def _rehearsed(evidence: Evidence) -> Verdict:
    found, why = rehearsal(evidence)
    if found is None:
        return False, why
    figures = found.figures
    words = f"{figures['users']:,} users, {figures['requests']:,} requests"
    return True, f"{found} of {moment(found.recorded_at)}: {words}"


def _way_back(evidence: Evidence) -> Verdict:
    assert evidence.found is not None
    if evidence.state is State.EXPANDED:
        return True, "nothing has been switched: there is nothing to take back"
    back = next(each for each in evidence.found.plans if each.edge and not each.edge.forward)
    return _back(back)


def _back(plan: Plan) -> Verdict:
    assert plan.edge is not None
    unmet = [finding for finding in plan.findings if not finding.met]
    if unmet:
        return False, f"{plan.edge}: `{unmet[0].gate}`, {unmet[0].found}. {unmet[0].remedy}"
    return True, f"`rollback_prefs` leads to `{plan.edge.target}`"


def _archived(evidence: Evidence) -> Verdict:
    dropped = evidence.taken_to(State.DROPPED)
    made = dropped.figures.get("archive") if dropped else None
    if not made:
        return False, "no archive is on record"
    size = f"{made['users']:,} documents, {made['bytes']:,} bytes, sum {made['checksum']}"
    return True, f"{size}, made {made['made_at'][:16].replace('T', ' ')} UTC"


def _monitored(evidence: Evidence) -> Verdict:
    if at := evidence.code.metrics_at:
        return True, f"served at `{at}`"
    return False, f"the site's urlconf has no page named `{METRICS}` to scrape"


ROLLBACK = (
    Criterion(
        key="rehearsed",
        text="All phases and the way back were rehearsed under traffic, with this release and"
        " mapping.",
        judge=_rehearsed,
    ),
    Criterion(key="way_back", text="The next step back can be taken now.", judge=_way_back),
    Criterion(
        key="monitored",
        text="The figures of the migration are served to monitoring.",
        judge=_monitored,
        code=True,
    ),
    Criterion(
        key="mirror_off",
        text="The column is not written any more.",
        judge=partial(stands, target=State.MIRROR_OFF),
    ),
    Criterion(
        key="contract_soak",
        text="The column stood unwritten for the time agreed (`PREFS_CONTRACT_SOAK`).",
        judge=lambda evidence: gated(evidence, State.DROPPED, Gate.CONTRACT_SOAK),
        moot=True,
    ),
    Criterion(
        key="archived",
        text="What the column held is archived, counted and summed.",
        judge=_archived,
        moot=True,
    ),
    Criterion(
        key="dropped",
        text="The column is dropped.",
        judge=partial(stands, target=State.DROPPED),
    ),
)

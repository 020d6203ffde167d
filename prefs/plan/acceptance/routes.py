"""Dual-write, and reads from the tables."""

from __future__ import annotations

from functools import partial

from prefs.engine.states import Gate, State
from prefs.mapping import LEAVES
from prefs.plan.criteria import Criterion, Verdict, gated, none_wrong, stands, taken
from prefs.plan.evidence import Evidence


def _stored_by_route(evidence: Evidence) -> Verdict:
    leaves = f"{len(LEAVES)} leaves mapped; field, managers and querysets store by route"
    return none_wrong(evidence.code.store_findings, leaves)


def _triggers(evidence: Evidence) -> Verdict:
    return none_wrong(evidence.triggers, "all there, enabled and unaltered, functions too")


def _no_mismatch(evidence: Evidence) -> Verdict:
    assert evidence.found is not None
    counts = evidence.found.shadow_reads
    compared = (
        f"{counts.compared:,} reads compared both stores" if counts else "no shadow reads were made"
    )
    return none_wrong(evidence.found.mismatches, f"none is known; {compared}")


DUAL_WRITE = (
    Criterion(
        key="stored_by_route",
        text="API, managers and `user.preferences` store by the switches, without other code.",
        judge=_stored_by_route,
        code=True,
    ),
    Criterion(
        key="triggers",
        text="Triggers catch writes by any other program, raw SQL among it.",
        judge=_triggers,
    ),
    Criterion(
        key="dual_write_taken",
        text="Dual-write was switched on under its gates, and reached every process.",
        judge=partial(taken, target=State.DUAL_WRITE),
        moot=True,
    ),
    Criterion(
        key="writes_tables",
        text="Every write reaches the tables.",
        judge=partial(stands, target=State.DUAL_WRITE),
    ),
    Criterion(
        key="verified",
        text="Both stores were equal for every user, in a verification of all.",
        judge=lambda evidence: gated(evidence, State.READ_CUTOVER, Gate.VERIFIED),
        moot=True,
    ),
    Criterion(key="no_mismatch", text="No user is known whose stores differ.", judge=_no_mismatch),
)

READS = (
    Criterion(
        key="cutover_taken",
        text="Reads were moved to the tables under their gates.",
        judge=partial(taken, target=State.READ_CUTOVER),
        moot=True,
    ),
    Criterion(
        key="reads_tables",
        text="Every read is answered by the tables.",
        judge=partial(stands, target=State.READ_CUTOVER),
    ),
    Criterion(
        key="verified_after",
        text="Both stores were equal for every user again, after reads had moved.",
        judge=lambda evidence: gated(evidence, State.MIRROR_OFF, Gate.VERIFIED),
        moot=True,
    ),
    Criterion(
        key="cutover_soak",
        text="Reads stood on the tables for the time agreed (`PREFS_CUTOVER_SOAK`).",
        judge=lambda evidence: gated(evidence, State.MIRROR_OFF, Gate.CUTOVER_SOAK),
        moot=True,
    ),
    Criterion(
        key="column_unused",
        text="No view, function or session of the previous release needs the column.",
        judge=lambda evidence: gated(
            evidence,
            State.MIRROR_OFF,
            Gate.NOTHING_DEPENDS,
            Gate.NO_CODE_NAMES_COLUMN,
            Gate.NO_PREVIOUS_RELEASE,
        ),
        moot=True,
    ),
)

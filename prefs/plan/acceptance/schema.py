"""The schema: migrations, tables, keys, rights."""

from __future__ import annotations

from functools import partial

from prefs.engine.evidence import moment
from prefs.engine.flaws import Part
from prefs.plan.criteria import Criterion, Verdict, none_wrong
from prefs.plan.evidence import Evidence
from prefs.sql.rights import TYPED_TABLES


def _migrated(evidence: Evidence) -> Verdict:
    applied, of = len(evidence.applied), evidence.code.migrations
    when = f", the last {moment(evidence.applied[-1])}" if applied else ""
    return applied == of, f"{applied} of {of} applied{when}"


def _made(evidence: Evidence, *, keys: bool) -> Verdict:
    wrong = tuple(flaw for flaw in evidence.tables if (flaw.part is Part.KEY) is keys)
    whole = f"{evidence.objects} columns, constraints and indexes of {len(TYPED_TABLES)} tables"
    otherwise = "validated, on both tables, the archive and the mismatches" if keys else whole
    return none_wrong(wrong, otherwise)


def _reversible(evidence: Evidence) -> Verdict:
    every = f"every operation of {evidence.code.migrations} migrations"
    return none_wrong(evidence.code.irreversible, every)


def _rights(evidence: Evidence) -> Verdict:
    return none_wrong(evidence.rights, "roles have on the tables what they have on the column")


SCHEMA = (
    Criterion(key="migrations", text="The migrations are applied.", judge=_migrated, code=True),
    Criterion(
        key="tables",
        text="The typed tables are there with every column, constraint and index, as designed.",
        judge=partial(_made, keys=False),
    ),
    Criterion(
        key="keys",
        text="Foreign keys tie every row to its user.",
        judge=partial(_made, keys=True),
    ),
    Criterion(
        key="rights",
        text="Nobody may do to the tables what they may not do to the column.",
        judge=_rights,
    ),
    Criterion(
        key="reversible", text="The migrations can be taken back.", judge=_reversible, code=True
    ),
)

"""Which rehearsal on record counts: of this release and of this mapping."""

from __future__ import annotations

from prefs import VERSION
from prefs.engine.evidence import moment
from prefs.mapping import fingerprint
from prefs.models import RecordedRehearsal
from prefs.plan.evidence import Evidence


def rehearsal(evidence: Evidence) -> tuple[RecordedRehearsal | None, str]:
    """The last clean rehearsal of this release and mapping, or why there is none."""
    this = [
        each
        for each in evidence.rehearsals
        if (each.version, each.fingerprint) == (VERSION, fingerprint())
    ]
    if clean := [each for each in this if each.is_clean]:
        return clean[-1], ""
    if this:
        return None, f"{this[-1]}, {moment(this[-1].recorded_at)}"
    which = "only of another release or mapping" if evidence.rehearsals else "none"
    return None, f"rehearsals on record: {which} (`rehearse_prefs --record` makes one)"

"""What an acceptance criterion is, and how those about the past rest on what transitions stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prefs.engine.evidence import moment
from prefs.engine.states import Gate, State, is_forward, went_forward
from prefs.models import Transition
from prefs.plan.evidence import Evidence
from prefs.plan.model import Result

# Met or not, and the figure.
Verdict = tuple[bool, str]


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """A condition that is judged, never ticked.

    One of `code` can be judged before `migrate`. One that is `moot` without users is met on a site
    that had nobody to move.
    """

    key: str
    text: str
    judge: Callable[[Evidence], Verdict]
    code: bool = False
    moot: bool = False

    def result(self, evidence: Evidence) -> Result:
        """What it comes to now."""
        met, figure = self._verdict(evidence)
        return Result(key=self.key, text=self.text, met=met, figure=figure)

    def _verdict(self, evidence: Evidence) -> Verdict:
        if evidence.found is None and not self.code:
            return False, "`migrate` has not made the tables yet"
        if self.moot and evidence.began_empty:
            return True, "there was no user to move"
        return self.judge(evidence)


def taken(evidence: Evidence, target: State) -> Verdict:
    """Whether the transition forward to `target` was taken, ever: it stays so after a rollback."""
    found = evidence.taken_to(target)
    if found is None:
        return False, _open(evidence, target) or f"no transition to `{target}` is on record"
    return True, f"{moment(found.taken_at)}, by {found.actor}; {gates_of(found)}"


def stands(evidence: Evidence, target: State) -> Verdict:
    """Whether the site is at `target` or further now: not so after a rollback."""
    state = evidence.state
    assert state is not None
    if state is not target and not is_forward(target, state):
        back = evidence.taken_to(target)
        gone = f"; it was left again after {moment(back.taken_at)}" if back else ""
        return False, f"the state is `{state}`{gone}"
    if still_open := _open(evidence, target):
        return False, still_open
    since = evidence.taken_to(target)
    return True, f"since {moment(since.settled_at)}" if since else f"the state is `{state}`"


def _open(evidence: Evidence, target: State) -> str:
    """What is to be said of a transition forward to `target` that is still open, if one is."""
    last = evidence.transitions[-1] if evidence.transitions else None
    if last is None or last.settled_at or last.to_state != target or not went_forward(last):
        return ""
    return f"taken {moment(last.taken_at)}, and has not reached every process yet"


def gates_of(found: Transition) -> str:
    """How many gates a transition on record met, and which were overridden."""
    met = sum(bool(each["met"]) for each in found.gates)
    over = [f"`{each['gate']}`" for each in found.gates if each["overridden"]]
    words = f"{met} of {len(found.gates)} gates met"
    return f"{words}, overridden: {', '.join(over)}" if over else words


def gated(evidence: Evidence, target: State, *gates: Gate) -> Verdict:
    """Whether these gates of the transition to `target` are met, or were when it was taken.

    What the transition stored counts for ever, so also after a rollback; a gate that was
    overridden was not met.
    """
    on_record = [
        each for each in evidence.settled if each.to_state == target and went_forward(each)
    ]
    verdicts = [_stored(each, gates) for each in on_record]
    if met := [verdict for verdict in verdicts if verdict[0]]:
        return met[-1]
    now = [evidence.finding(target, gate) for gate in gates]
    asked = [finding for finding in now if finding is not None]
    if len(asked) == len(gates) and (not verdicts or all(each.met for each in asked)):
        unmet = [each for each in asked if not each.met]
        return not unmet, "; ".join(each.found for each in unmet or asked)
    if verdicts:
        return verdicts[-1]
    return False, f"asked on the way to `{target}`; the state is `{evidence.state}`"


def _stored(found: Transition, gates: tuple[Gate, ...]) -> Verdict:
    stored: dict[str, Mapping[str, Any]] = {each["gate"]: each for each in found.gates}
    when = moment(found.taken_at)
    if missing := [gate for gate in gates if gate not in stored]:
        return False, f"the transition of {when} did not ask {', '.join(missing)}"
    unmet = [stored[gate] for gate in gates if not stored[gate]["met"]]
    if unmet:
        over = "; ".join(f"`{each['gate']}` ({each['found']})" for each in unmet)
        reason = f", {found.reason!r}" if found.reason else ""
        return False, f"overridden on {when} by {found.actor}{reason}: {over}"
    return True, f"{'; '.join(stored[gate]['found'] for gate in gates)} ({when})"


def none_wrong(wrong: tuple[object, ...], otherwise: str) -> Verdict:
    """Met where nothing is wrong; else the first of it, and how much more there is."""
    if not wrong:
        return True, otherwise
    more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return False, f"{wrong[0]}{more}"

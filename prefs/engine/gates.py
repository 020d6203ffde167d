"""The gates of a transition: all of them evaluated, some overridden, the rest refuse it."""

from __future__ import annotations

from dataclasses import replace

from prefs.engine.audit import signature_here
from prefs.engine.conditions import CONDITIONS
from prefs.engine.findings import Finding, Inquiry
from prefs.engine.sight import REMEDY, UsersHidden, describe
from prefs.engine.states import Edge, Gate
from prefs.errors import Mistake, Refused


class GateRefused(Refused):
    """What was not done, with every gate that is unmet and how to meet it."""

    def __init__(self, what: str, findings: list[Finding]) -> None:
        self.findings = findings
        unmet = [finding for finding in findings if not finding.passes]
        lines = [f"  {f.gate}: {f.found}. {f.remedy}" for f in unmet]
        super().__init__(f"{what} was refused; nothing was changed. Unmet:\n" + "\n".join(lines))


class NoSuchOverride(Mistake):
    """An override of a gate that the transition does not have, or that cannot be overridden."""


def evaluate(edge: Edge, inquiry: Inquiry) -> list[Finding]:
    """Evaluate every gate of a transition against the database, now. Locks nothing.

    What `inquiry` was asked before, for another transition, is not asked again. An unmet gate that
    whoever acts answers for is let pass, and says so. Raises NoSuchOverride.
    """
    overrides = signature_here().overrides
    unknown = overrides - set(edge.overridable)
    if unknown:
        allowed = " or ".join(edge.overridable) or "no override: it has no such gate"
        raise NoSuchOverride(
            f"Cannot override {', '.join(sorted(unknown))} from {edge}; expected {allowed}."
            " Nothing was changed."
        )
    findings = [ask(gate, inquiry) for gate in edge.gates]
    return [replace(f, overridden=not f.met and f.gate in overrides) for f in findings]


def ask(gate: Gate, inquiry: Inquiry) -> Finding:
    """What a gate finds; one that would have to count hidden rows is unmet."""
    if gate not in inquiry.answers:
        try:
            inquiry.answers[gate] = CONDITIONS[gate](inquiry)
        except UsersHidden as error:
            found = describe(error.hidden)
            inquiry.answers[gate] = Finding(gate=gate, met=False, found=found, remedy=REMEDY)
    return inquiry.answers[gate]

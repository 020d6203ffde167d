"""What advance_prefs and rollback_prefs share: they differ in the direction alone."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from prefs import conf
from prefs.engine import transitions
from prefs.engine.gates import GateRefused
from prefs.engine.states import State
from prefs.management.base import PrefsCommand, Stop
from prefs.management.commands.status_prefs import gate_lines
from prefs.models import Transition


class TransitionCommand(PrefsCommand):
    """Takes the next transition in one direction, or says what it waits for."""

    forward: bool

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--to", type=State, metavar="STATE", help=f"one of {', '.join(State)}")
        parser.add_argument("--dry-run", action="store_true", help="evaluate the gates, act not")
        parser.add_argument("--reason", metavar="TEXT", help="why, for the record")
        self.add_noinput(parser)

    def run(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str], int]:
        settings = conf.current()
        plan = transitions.plan(self.alias, options["to"], settings, forward=self.forward)
        if options["dry_run"]:
            return _planned(plan)
        if plan.edge is not None and plan.edge.target is State.DROPPED:
            # Refused at once or confirmed: the gates are asked again when it is taken.
            if not plan.met and plan.unsettled is None:
                raise GateRefused(plan.edge, list(plan.findings))
            self.confirm("This drops the column of preferences.", options)
        stop = Stop()
        with stop.listening(self.stderr):
            taken = transitions.take_transition(
                self.alias,
                options["to"],
                settings,
                self.signature(options),
                self.control(stop),
                forward=self.forward,
            )
        self.progress.end()
        return _taken(taken, options["to"], 128 + stop.signal if stop.signal else 0)


def _planned(plan: transitions.Plan) -> tuple[dict[str, Any], list[str], int]:
    if plan.edge is None:
        return {"dry_run": True, "to": None}, ["Nothing to do: the site is there already."], 0
    figures = {
        "dry_run": True,
        "from": plan.edge.source,
        "to": plan.edge.target,
        "action": plan.edge.action,
        "met": plan.met,
        "gates": [finding.record() for finding in plan.findings],
    }
    lines = [f"{plan.edge}: {plan.edge.action}", *gate_lines(plan)]
    return figures, lines, 0 if plan.met else 4


def _taken(
    taken: Transition | None, target: State | None, interrupted: int
) -> tuple[dict[str, Any], list[str], int]:
    if taken is None:
        return {"state": target}, [f"Nothing to do: the state is {target} already."], 0
    figures = {
        "from": taken.from_state,
        "state": taken.to_state,
        "settled": taken.settled_at is not None,
        "gates": taken.gates,
        "figures": taken.figures,
    }
    if taken.settled_at is None:
        line = f"{taken}: taken, not settled yet. Run the same command again to finish it."
        return figures, [line], interrupted or 1
    seconds = taken.figures.get("seconds", 0)
    return figures, [f"{taken}: done, settled in {seconds:.2f} s."], 0

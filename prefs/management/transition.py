"""What advance_prefs and rollback_prefs share: they differ in the direction alone."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from prefs import conf
from prefs.blockers import Blocker
from prefs.engine import transitions
from prefs.engine.archiving import ArchiveInterrupted
from prefs.engine.states import State
from prefs.errors import Mistake
from prefs.management.base import Outcome, PrefsCommand, seconds
from prefs.management.commands.backfill_prefs import run_figures
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
        parser.add_argument(
            "--drain-timeout",
            type=seconds,
            metavar="SECONDS",
            help="leave the drain after so long; the same command takes it up again",
        )
        self.add_noinput(parser)

    def run(self, options: dict[str, Any]) -> Outcome:
        target, settings = options["to"], conf.current()
        if options.get("override") and not options["reason"]:
            raise Mistake("--override needs --reason TEXT: it goes on record.")
        if options["dry_run"]:
            return _planned(transitions.plan(self.alias, target, settings, forward=self.forward))
        way = transitions.way(target, forward=self.forward)
        with transitions.refusals_recorded(self.alias, way):
            plan = transitions.plan(self.alias, target, settings, forward=self.forward)
        # Refused at once rather than after a question: it is asked only what can be done.
        drops = plan.edge is not None and plan.edge.target is State.DROPPED
        if drops and (plan.passes or plan.unsettled is not None):
            self.confirm("This drops the column of preferences.", options)
        try:
            with self.working(drain_timeout=options["drain_timeout"]) as control:
                taken = transitions.take_transition(
                    self.alias, target, settings, control, forward=self.forward
                )
        except ArchiveInterrupted as interrupted:
            return (
                run_figures(interrupted.run),
                [str(interrupted)],
                self.stop.status(interrupted.run),
            )
        waiting = transitions.waits_for(taken, self.alias) if taken else []
        return _taken(taken, target, waiting, self.stop.left() if self.stop() else 0)


def _planned(plan: transitions.Plan) -> Outcome:
    if plan.edge is None:
        line = "Nothing to do: the site is there already."
        if plan.unsettled:
            line = f"{plan.unsettled}: taken, not settled yet. This would finish it."
        return {"dry_run": True, "to": None}, [line], 0
    figures = {
        "dry_run": True,
        "from": plan.edge.source,
        "to": plan.edge.target,
        "action": plan.edge.action,
        "met": plan.passes,
        "gates": [finding.record() for finding in plan.findings],
    }
    lines = [f"{plan.edge}: {plan.edge.action}", *gate_lines(plan)]
    return figures, lines, 0 if plan.passes else 4


def _taken(
    taken: Transition | None, target: State | None, waiting: list[Blocker], interrupted: int
) -> Outcome:
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
        lines = [line, *(f"  waits for {blocker}" for blocker in waiting)]
        return {**figures, "waits_for": list(map(asdict, waiting))}, lines, interrupted or 1
    seconds = taken.figures.get("seconds", 0)
    return figures, [f"{taken}: done, settled in {seconds:.2f} s."], 0

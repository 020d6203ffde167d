"""manage.py status_prefs: state, route, progress, gates, differences, quarantine, runs."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from prefs import conf
from prefs.engine.evidence import moment, span
from prefs.engine.next_step import NextStep, next_step
from prefs.engine.quarantine import DOCUMENT
from prefs.engine.states import command
from prefs.engine.status import Status, status, switch_repairs
from prefs.engine.transitions import Plan
from prefs.management.base import ATTENTION, Outcome, PrefsCommand
from prefs.management.commands.backfill_prefs import run_figures
from prefs.management.commands.quarantine_prefs import accepted_figures
from prefs.models import ShadowReads

# So many mismatches are shown to people; all of them are in the JSON.
_SHOWN = 10
_MARKS = {(True, False): "met  ", (False, False): "UNMET", (False, True): "OVERRIDDEN"}


class Command(PrefsCommand):
    help = "Says where the migration stands, and what the next transition waits for."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--check", action="store_true", help="exit 3 on differences or quarantined leaves"
        )

    def run(self, options: dict[str, Any]) -> Outcome:
        repairs = switch_repairs(self.alias)
        if repairs:
            missing = any("--create" in repair for repair in repairs)
            what = "A switch row is missing" if missing else "The switches contradict the column"
            lines = [f"{what}; no preference can be read or written. Run:"]
            figures = {"error": lines[0], "repairs": repairs, "next": f"Run `{repairs[0]}`."}
            return {**figures, "next_command": repairs[0]}, [*lines, *_indented(repairs)], 1
        found = status(self.alias, conf.current())
        attention = options["check"] and found.needs_attention
        status_ = 1 if found.problems else ATTENTION if attention else 0
        step = next_step(found)
        return _figures(found, step), _lines(found, step), status_


def _figures(found: Status, step: NextStep) -> dict[str, Any]:
    run = found.standing.run
    return {
        "state": found.state,
        "since": found.stood_since and found.stood_since.isoformat(),
        "stood_seconds": found.stood_since and (found.asked_at - found.stood_since).total_seconds(),
        **step.figures(),
        "route": found.state.route.name,
        "users": found.users,
        "copied": found.copied,
        "problems": [asdict(problem) for problem in found.problems],
        "settled": found.unsettled is None,
        "waits_for": [asdict(blocker) for blocker in found.waits_for],
        "transitions": [
            {
                "to": plan.edge.target if plan.edge else None,
                "met": plan.passes,
                "gates": [finding.record() for finding in plan.findings],
            }
            for plan in found.plans
        ],
        "verification": run and run_figures(run),
        "evidence": found.standing.figures(),
        "differing": found.standing.differing,
        "quarantined": {each.leaf or DOCUMENT: each.users for each in found.quarantined},
        "accepted": accepted_figures(found.quarantined),
        "canary": float(found.canary),
        "shadow": float(found.shadow),
        "shadow_reads": _shadow_figures(found.shadow_reads),
        "mismatches": [
            {
                "user": each.pk,
                "leaves": each.leaves,
                "times": each.times,
                "first_found_at": each.first_found_at.isoformat(),
                "found_at": each.found_at.isoformat(),
                "blob_digest": each.blob_digest,
                "tables_digest": each.tables_digest,
            }
            for each in found.mismatches
        ],
        "archive": found.archive and found.archive.figures(),
        "runs": [run_figures(run) for run in found.runs],
    }


def _lines(found: Status, step: NextStep) -> list[str]:
    leaves = sum(each.users for each in found.quarantined)
    more = ": manage.py quarantine_prefs" if leaves else ""
    lines = [
        f"state        {found.state}{_stood(found)}",
        f"next         {step.says}",
        f"route        {found.state.route.name}",
        f"users        {found.users}, {found.copied} of them with typed rows",
        f"differences  {found.standing}",
        f"quarantine   {leaves} leaves{more}",
    ]
    lines += _indented([str(each) for each in found.quarantined])
    lines += _canary_lines(found)
    if made := found.archive:
        lines.append(
            f"archive      {made.users} users, {made.bytes:,} bytes, made {moment(made.made_at)}"
            " (manage.py archive_prefs)"
        )
    if found.unsettled:
        lines.append(f"unsettled    {found.unsettled}: run the command that began it again")
        lines += _indented([f"waits for {blocker}" for blocker in found.waits_for])
    if found.problems:
        lines.append("PROBLEMS")
        lines += _indented(list(map(str, found.problems)))
    for plan in found.plans:
        if edge := plan.edge:
            way = command(forward=edge.forward)
            lines += [f"{edge}   manage.py {way} --to {edge.target}", *gate_lines(plan)]
    if found.runs:
        lines.append("runs")
    for run in found.runs:
        users = run.so_far("users")
        lines.append(f"  {run} {run.status}, {run.phase}, {users} users, {run.holder}")
    return lines


def _shadow_figures(counts: ShadowReads | None) -> dict[str, int]:
    return {
        name: getattr(counts, name) if counts else 0 for name in ("compared", "differing", "failed")
    }


def _canary_lines(found: Status) -> list[str]:
    """The percentages, and whom shadow reads found to differ, the last first."""
    counts = found.shadow_reads
    compared = f", {counts.compared} compared, {counts.failed} not" if counts else ""
    lines = [f"canary       {found.canary} % of users; shadow reads {found.shadow} %{compared}"]
    if found.mismatches:
        lines.append(f"MISMATCHES   {len(found.mismatches)} users, found by shadow reads")
        lines += _indented(
            [
                f"{each}; {each.times} times, last {each.found_at:%Y-%m-%d %H:%M:%S} UTC"
                for each in found.mismatches[:_SHOWN]
            ]
        )
    return lines


def _stood(found: Status) -> str:
    if found.stood_since is None:
        return ", by no transition on record"
    stood = (found.asked_at - found.stood_since).total_seconds()
    return f", for {span(stood)}, since {moment(found.stood_since)}"


def gate_lines(plan: Plan) -> list[str]:
    """What each gate of a planned transition says now."""
    return _indented(
        [
            f"{_MARKS[f.met, f.overridden]} {f.gate}: {f.found}{'' if f.met else '. ' + f.remedy}"
            for f in plan.findings
        ]
    )


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]

"""manage.py backfill_prefs: copy the primary to the other store, then catch up."""

from typing import Any

from django.core.management.base import CommandParser

from prefs import conf
from prefs.engine import backfill, prediction
from prefs.engine.prediction import megabytes
from prefs.engine.repair import Direction
from prefs.management.base import Outcome, PrefsCommand
from prefs.management.running import add_running, give_order, is_order, paced
from prefs.models import Run


class Command(PrefsCommand):
    help = "Copies the blob to the tables (--reverse: the tables to the blob). Resumable."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--reverse", action="store_true", help="copy the tables to the blob")
        add_running(parser)
        parser.add_argument("--dry-run", action="store_true", help="say what would be done")
        parser.add_argument(
            "--restart", action="store_true", help="begin anew instead of resuming an open run"
        )

    def run(self, options: dict[str, Any]) -> Outcome:
        direction = Direction.REVERSE if options["reverse"] else Direction.FORWARD
        if is_order(options):
            return give_order(backfill.kind_of(direction), self.alias, options)
        plan = backfill.plan(self.alias, direction, restart=options["restart"])
        if options["dry_run"]:
            return {"dry_run": True, **plan.figures()}, plan.lines(), 0
        for line in plan.lines():
            self.say(line)
        with self.working(**paced(options)) as control:
            run = backfill.backfill(
                self.alias,
                direction,
                conf.current(),
                control,
                restart=options["restart"],
                workers=options["workers"],
            )
        took = prediction.outcome(run, self.alias)
        return {**run_figures(run), **took}, run_lines(run) + _took(took), self.stop.status(run)


def run_figures(run: Run) -> dict[str, Any]:
    """A run as JSON."""
    counters = ("users", "copied", "differing", "repaired", "batches", "retries")
    figures = {"run": run.pk, "kind": run.kind, "status": run.status, "phase": run.phase}
    return {**figures, **{counter: run.so_far(counter) for counter in counters}}


def run_lines(run: Run) -> list[str]:
    """A run in sentences."""
    did = run_figures(run)
    lines = [
        f"{run} {run.status}: {did['copied']} users copied, {did['differing']} differing,"
        f" {did['repaired']} overwritten, {did['batches']} batches, {did['retries']} retries."
    ]
    if run.status == Run.Status.INTERRUPTED:
        lines.append("It was interrupted; run the same command again and it resumes.")
    if run.status == Run.Status.RUNNING:
        lines.append("Other workers go on with it; run the same command again to join them.")
    return lines


def _took(took: dict[str, Any]) -> list[str]:
    if not took:
        return []
    return [
        f"Tables grew by {megabytes(took['table_bytes'])}"
        f" (foretold {megabytes(took['predicted_table_bytes'])}); all sessions wrote"
        f" {megabytes(took['wal_bytes'])} of WAL since it began"
        f" (foretold {megabytes(took['predicted_wal_bytes'])})."
    ]

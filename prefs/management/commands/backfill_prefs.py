"""manage.py backfill_prefs: copy the primary to the other store, then catch up."""

from typing import Any

from django.core.management.base import CommandParser

from prefs import conf
from prefs.engine import backfill
from prefs.engine.repair import Direction
from prefs.management.base import PrefsCommand, Stop, positive
from prefs.models import Run


class Command(PrefsCommand):
    help = "Copies the blob to the tables (--reverse: the tables to the blob). Resumable."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--reverse", action="store_true", help="copy the tables to the blob")
        parser.add_argument(
            "--batch-size", type=positive, default=1_000, metavar="N", help="users in a batch"
        )
        parser.add_argument(
            "--max-rate", type=positive, metavar="N", help="at most N users a second"
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would be done")
        parser.add_argument(
            "--restart", action="store_true", help="begin anew instead of resuming an open run"
        )

    def run(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str], int]:
        direction = Direction.REVERSE if options["reverse"] else Direction.FORWARD
        if options["dry_run"]:
            plan = backfill.plan(self.alias, direction)
            return {"dry_run": True, "plan": plan.lines()}, plan.lines(), 0
        stop = Stop()
        control = self.control(stop, batch_size=options["batch_size"], max_rate=options["max_rate"])
        for line in backfill.plan(self.alias, direction).lines():
            self.say(line)
        with stop.listening(self.stderr):
            run = backfill.backfill(
                self.alias, direction, conf.current(), control, restart=options["restart"]
            )
        self.progress.end()
        return run_figures(run), run_lines(run), stop.status(run)


def run_figures(run: Run) -> dict[str, Any]:
    """A run as JSON."""
    names = ("status", "phase", "users", "copied", "differing", "repaired", "batches", "retries")
    return {"run": run.pk, "kind": run.kind, **{name: getattr(run, name) for name in names}}


def run_lines(run: Run) -> list[str]:
    """A run in sentences."""
    lines = [
        f"{run} {run.status}: {run.copied} users copied, {run.differing} differing,"
        f" {run.repaired} overwritten, {run.batches} batches, {run.retries} retries."
    ]
    if run.status == Run.Status.INTERRUPTED:
        lines.append("It was interrupted; run the same command again and it resumes.")
    return lines

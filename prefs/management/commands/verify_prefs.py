"""manage.py verify_prefs: compare both stores, and say or repair where they differ."""

from typing import Any

from django.core.management.base import CommandParser

from prefs import conf
from prefs.engine import verification
from prefs.management.base import ATTENTION, Outcome, PrefsCommand, positive
from prefs.management.commands.backfill_prefs import run_figures
from prefs.management.running import add_running, give_order, is_order, paced
from prefs.models import Run

_LISTED = 20


class Command(PrefsCommand):
    help = "Compares both stores of all users. Exits 3 where they differ."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--repair", action="store_true", help="overwrite the mirror of users who differ"
        )
        parser.add_argument(
            "--sample", type=positive, metavar="N", help="only about N users, taken at random"
        )
        add_running(parser)

    def run(self, options: dict[str, Any]) -> Outcome:
        if is_order(options):
            return give_order(Run.Kind.VERIFICATION, self.alias, options)
        if options["sample"]:
            return self._sample(options)
        listed: list[Any] = []

        def report(ids: list[Any]) -> None:
            listed.extend(ids[: _LISTED - len(listed)])

        with self.working(**paced(options)) as control:
            run = verification.verify(
                self.alias,
                conf.current(),
                control,
                repair=options["repair"],
                report=report,
                workers=options["workers"],
            )
        status = self.stop.status(run) or (ATTENTION if run.differing else 0)
        return {**run_figures(run), "listed": listed}, _lines(run, listed), status

    def _sample(self, options: dict[str, Any]) -> Outcome:
        found = verification.verify_sample(self.alias, options["sample"], repair=options["repair"])
        lines = [
            f"Compared {found.users} users taken at random: {len(found.differing)} differ. A"
            " sample is no evidence for a gate."
        ]
        lines += [f"  user {key}" for key in found.differing[:_LISTED]]
        figures = {
            "sample": True,
            "users": found.users,
            "differing": len(found.differing),
            "listed": found.differing[:_LISTED],
        }
        return figures, lines, ATTENTION if found.differing else 0


def _lines(run: Run, listed: list[Any]) -> list[str]:
    if run.status != Run.Status.DONE:
        return [
            f"Interrupted after {run.users} users, {run.differing} differing. Run the same"
            " command again and it resumes."
        ]
    lines = [f"Compared {run.users} users: {run.differing} differ, {run.repaired} repaired."]
    lines += [f"  user {key}" for key in listed]
    if run.differing > len(listed):
        lines.append(f"  and {run.differing - len(listed)} more")
    if run.differing:
        then = "Run it again" if run.repaired else "Run it with --repair, then again"
        lines.append(f"{then}: a gate asks for a run that finds none.")
    return lines

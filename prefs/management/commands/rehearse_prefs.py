"""manage.py rehearse_prefs: all phases and the way back, under live traffic, with a report."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from prefs import conf
from prefs.errors import Mistake
from prefs.management.base import ATTENTION, Outcome, PrefsCommand, positive
from prefs.plan.formats import FORMATS, text
from prefs.plan.formats.figures import figures as plan_figures
from prefs.rehearsal.conductor import Interrupted, Options, rehearse
from prefs.rehearsal.recorded import must_be_recordable, record


class Command(PrefsCommand):
    help = "Rehearses the whole migration and the way back in a scratch database."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--users", type=positive, default=100_000, metavar="N")
        parser.add_argument("--clients", type=positive, default=4, metavar="N")
        parser.add_argument("--seed", type=int, default=1, metavar="S", help="same S, same users")
        parser.add_argument("--keep", action="store_true", help="keep the scratch database")
        parser.add_argument(
            "--into", metavar="NAME", help="rehearse in this database, which must exist"
        )
        parser.add_argument(
            "--record", action="store_true", help="put the report on record in --database"
        )
        parser.add_argument(
            "--plan", type=Path, metavar="FILE", help="write its plan to this .md, .html or .txt"
        )
        self.add_noinput(parser)

    def run(self, options: dict[str, Any]) -> Outcome:
        chosen = Options(**{each.name: options[each.name] for each in fields(Options)})
        if chosen.into:
            question = f"This adds users to the database {chosen.into}, and drops its column."
            self.confirm(question, options)
        if options["record"]:
            must_be_recordable(self.alias)
        file: Path | None = options["plan"]
        if file and (file.suffix not in FORMATS or not file.parent.is_dir()):
            raise Mistake(
                f"--plan is {str(file)!r}; expected a file that ends in {', '.join(FORMATS)}, in a"
                " folder that is there."
            )
        try:
            with self.stoppable() as control:
                report = rehearse(chosen, conf.current(), control)
        except Interrupted as error:
            return {"error": str(error)}, [str(error)], self.stop.left()
        figures, lines = report.figures(), report.lines()
        if options["record"]:
            made = record(report, self.alias)
            figures["recorded"] = made.pk
            lines.append(f"Recorded in {self.alias}: {made}.")
        if report.plan is not None:
            figures["plan"] = plan_figures(report.plan)
            if file:
                file.write_text(FORMATS[file.suffix](report.plan), encoding="utf-8")
            lines += ["", "", *text.lines(report.plan)]
        return figures, lines, 0 if report.clean else ATTENTION

"""manage.py rehearse_prefs: all phases and the way back, under live traffic, with a report."""

from typing import Any

from django.core.management.base import CommandParser

from prefs import conf
from prefs.management.base import ATTENTION, PrefsCommand, Stop, positive
from prefs.rehearsal.conductor import Interrupted, Options, rehearse


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
        self.add_noinput(parser)

    def run(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str], int]:
        chosen = Options(
            users=options["users"],
            clients=options["clients"],
            seed=options["seed"],
            keep=options["keep"],
            into=options["into"],
        )
        if chosen.into:
            question = f"This adds users to the database {chosen.into}, and drops its column."
            self.confirm(question, options)
        stop = Stop()
        with stop.listening(self.stderr):
            try:
                report = rehearse(chosen, conf.current(), self.control(stop))
            except Interrupted as error:
                return {"error": str(error)}, [str(error)], 128 + (stop.signal or 2)
        self.progress.end()
        return report.figures(), report.lines(), 0 if report.clean else ATTENTION

"""manage.py canary_prefs: who reads the tables already, and how many reads compare both stores."""

from decimal import Decimal
from typing import Any

from django.core.management.base import CommandParser

from prefs import conf
from prefs.engine import audit, canary, flips
from prefs.engine.gates import GateRefused
from prefs.management.base import PrefsCommand
from prefs.routing import CANARY, SHADOW


def percent(text: str) -> Decimal:
    """An argument that is a percentage."""
    return canary.percentage(text)


percent.__name__ = "percentage from 0 to 100, in tenths"


class Command(PrefsCommand):
    help = (
        "Shows or sets the percentage of users who read the tables while the column is still the"
        " primary, and of reads that compare both stores. To lower one is free."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "percent", nargs="?", type=percent, metavar="PERCENT", help="users who read the tables"
        )
        parser.add_argument(
            "--shadow", type=percent, metavar="PERCENT", help="document reads that also compare"
        )
        parser.add_argument("--reason", metavar="TEXT", help="why, for the record")

    def run(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str], int]:
        # Shadow reads first: a canary is better watched from its beginning.
        for name, given in ((SHADOW, options["shadow"]), (CANARY, options["percent"])):
            if given is not None:
                self._turn(name, given)
        found = flips.percentages(self.alias)
        figures = {
            "canary": float(found.get(CANARY, 0)),
            "shadow": float(found.get(SHADOW, 0)),
        }
        lines = [
            f"canary       {found.get(CANARY, 0)} % of users read the tables in dual_write",
            f"shadow       {found.get(SHADOW, 0)} % of document reads compare both stores",
        ]
        return figures, lines, 0

    def _turn(self, name: str, given: Decimal) -> None:
        try:
            canary.turn(self.alias, name, given, conf.current())
        except (canary.NotRaised, GateRefused) as error:
            gates = [f.record() for f in error.findings] if isinstance(error, GateRefused) else []
            event, subject = audit.Event.REFUSAL, f"set {name} to {given} %"
            audit.record_apart(self.alias, event, subject, why=str(error), gates=gates)
            raise

"""manage.py advance_prefs: take the next transition, or say what it waits for."""

from django.core.management.base import CommandParser

from prefs.management.transition import TransitionCommand


class Command(TransitionCommand):
    help = "Takes the next transition, or names the unmet gates and what meets each."
    forward = True

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--override",
            action="append",
            metavar="GATE",
            help="let this gate pass although it is unmet; needs --reason, goes on record",
        )

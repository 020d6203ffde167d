"""manage.py seed_prefs: add users with blobs of realistic variety, for trying things out."""

from typing import Any

from django.core.management.base import CommandParser

from prefs.engine import seeding
from prefs.management.base import Outcome, PrefsCommand, fraction, positive


class Command(PrefsCommand):
    help = "Adds users whose blobs are made up."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--users", type=positive, required=True, metavar="N")
        parser.add_argument(
            "--dirty", type=fraction, default=0.02, metavar="F", help="fraction of odd blobs"
        )
        parser.add_argument("--seed", type=int, default=1, metavar="S", help="same S, same blobs")

    def run(self, options: dict[str, Any]) -> Outcome:
        seeding.refuse_unless_blob(self.alias)
        users = seeding.seed(
            self.alias,
            options["users"],
            odd=options["dirty"],
            seed=options["seed"],
            progress=lambda done: self.say(f"{done} of {options['users']} users"),
        )
        return {"users": users}, [f"Added {users} users."], 0

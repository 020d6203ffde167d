"""manage.py plan_prefs: the implementation plan, its tasks, and how far each is by evidence."""

from __future__ import annotations

import shutil
from typing import Any

from django.core.management.base import CommandParser

from prefs import conf
from prefs.management.base import ATTENTION, Outcome, PrefsCommand
from prefs.plan.build import build
from prefs.plan.evidence import gather
from prefs.plan.formats import html, markdown, text
from prefs.plan.formats.figures import figures
from prefs.plan.model import Plan
from prefs.plan.team import read


class Command(PrefsCommand):
    help = "Prints the implementation plan, with each acceptance criterion as it is found."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--format",
            choices=["text", "markdown", "html"],
            default="text",
            help="how to print it (default: %(default)s)",
        )
        parser.add_argument(
            "--check", action="store_true", help="exit 3 while any criterion is unmet"
        )

    def run(self, options: dict[str, Any]) -> Outcome:
        settings = conf.current()
        team = read(settings.plan)
        plan = build(gather(self.alias, settings), team)
        status = ATTENTION if options["check"] and not plan.is_done else 0
        return figures(plan), _printed(plan, options["format"]), status


def _printed(plan: Plan, form: str) -> list[str]:
    if form == "text":
        # No wider than is read with ease, no narrower than its tables bear.
        columns = shutil.get_terminal_size((text.WIDTH, 24)).columns
        return text.lines(plan, min(max(columns, 80), text.WIDTH))
    whole = markdown.text(plan) if form == "markdown" else html.page(plan)
    return [whole.rstrip("\n")]

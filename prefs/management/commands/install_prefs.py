"""manage.py install_prefs: functions, triggers, keys, grants and policies as they should be."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from prefs import conf
from prefs.engine.flaws import Flaw, Part
from prefs.engine.installation import install, plan
from prefs.engine.integrity import told
from prefs.management.base import ATTENTION, Outcome, PrefsCommand


class Command(PrefsCommand):
    help = (
        "Puts right what expand installed: functions, triggers, foreign keys, rights of roles and"
        " policies. In every state; what is right is left alone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="say what it would change")

    def run(self, options: dict[str, Any]) -> Outcome:
        settings = conf.current()
        if options["dry_run"]:
            found = plan(self.alias, settings)
            lines = [f"would put right: {told(flaw)}" for flaw in found if _is_ours(flaw)]
            lines += [_by_hand(flaw) for flaw in found if not _is_ours(flaw)]
            return {"dry_run": True, **_figures((), found)}, lines or [_NOTHING], 0
        with self.stoppable() as control:
            done = install(self.alias, settings, control)
        lines = [f"put right: {flaw}" for flaw in done.changed]
        lines += [_by_hand(flaw) for flaw in done.left]
        if any(flaw.part in (Part.FUNCTION, Part.TRIGGER) for flaw in done.changed):
            lines.append(_THEN)
        status = self.stop.left() if self.stop() else ATTENTION if done.left else 0
        return _figures(done.changed, done.left), lines or [_NOTHING], status


_NOTHING = "Everything is as it should be; nothing was changed."
_THEN = "Run `manage.py verify_prefs`: what was written meanwhile may be in one store alone."


def _is_ours(flaw: Flaw) -> bool:
    return bool(flaw.statements) or flaw.part is Part.KEY


def _by_hand(flaw: Flaw) -> str:
    if flaw.statements:
        return f"left, this role may not: {told(flaw)}. Have it run by one that may."
    return f"left: {flaw}. {flaw.remedy}."


def _figures(changed: Any, left: Any) -> dict[str, Any]:
    return {
        "changed": [{**asdict(flaw), "part": flaw.part.name.lower()} for flaw in changed],
        "left": [{**asdict(flaw), "part": flaw.part.name.lower()} for flaw in left],
    }

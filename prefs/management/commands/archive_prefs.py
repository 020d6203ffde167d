"""manage.py archive_prefs: check the archive of the dropped column, or remove it."""

from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser

from prefs import conf
from prefs.engine import archive
from prefs.engine.archive import Check
from prefs.engine.evidence import moment
from prefs.management.base import ATTENTION, Outcome, PrefsCommand


class Command(PrefsCommand):
    help = "Checks the archive of the dropped column. Exits 3 where it is not what was archived."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--remove", action="store_true", help="remove it, once PREFS_ARCHIVE_LIFETIME is over"
        )
        self.add_noinput(parser)

    def run(self, options: dict[str, Any]) -> Outcome:
        return self._remove(options) if options["remove"] else self._check()

    def _check(self) -> Outcome:
        with self.stoppable() as control:
            found = archive.check(self.alias, control)
        until = found.made.removable_at(conf.current())
        status = self.stop.left() if not found.complete else 0 if found.right else ATTENTION
        return _figures(found, until), _lines(found, until), status

    def _remove(self, options: dict[str, Any]) -> Outcome:
        settings = conf.current()
        made = archive.removable(self.alias, settings)
        self.confirm(f"This removes the archive of {made.users} users for good.", options)
        with self.stoppable() as control:
            made = archive.remove(self.alias, settings, control)
        return {"removed": made.figures()}, [f"Removed the archive of {made.users} users."], 0


def _figures(found: Check, until: datetime) -> dict[str, Any]:
    return {
        "right": found.right,
        "complete": found.complete,
        "users": found.archived,
        "departed": found.departed,
        "checksum": found.checksum,
        "bytes": found.bytes,
        "compared": found.compared,
        "wrong": found.wrong,
        "listed": found.listed,
        "recorded": found.made.figures(),
        "removable_at": until.isoformat(),
    }


def _lines(found: Check, until: datetime) -> list[str]:
    made = found.made
    lines = [
        f"users        {found.archived} archived, {found.departed} departed since; {made.users}"
        " recorded",
        f"checksum     {found.checksum}; {made.checksum} recorded",
        f"bytes        {found.bytes:,}",
        f"made         {moment(made.made_at)}, by archive run {made.run}",
        f"removable    from {moment(until)} on",
        f"digests      {found.compared} made again, {found.wrong} of them wrong",
    ]
    lines += [f"  user {key}" for key in found.listed]
    if found.wrong > len(found.listed):
        lines.append(f"  and {found.wrong - len(found.listed)} more")
    if not found.complete:
        return [*lines, "Interrupted; run it again to compare all."]
    says = "is what was archived" if found.right else "is NOT what was archived"
    return [*lines, f"The archive {says}."]

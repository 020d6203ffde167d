"""`manage.py embedded_postgres`: starts, stops, shows or removes the embedded PostgreSQL.

Needed by hand only to stop it: what wants a connection starts it.
"""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from project.embedded import EmbeddedPostgresError, server


class Command(BaseCommand):
    """Parses, calls one function of `project.embedded.server`, prints."""

    help = "Starts, stops, shows or removes the project's own PostgreSQL server."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the action and its option."""
        parser.add_argument("action", choices=("start", "stop", "status", "remove"))
        parser.add_argument(
            "--if-unused",
            action="store_true",
            help="with stop: quietly leave a server that is in use, or was started by name",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Take the action; an error of the server is one sentence and exit status 1."""
        try:
            text = _take(options["action"], if_unused=options["if_unused"])
        except EmbeddedPostgresError as error:
            raise CommandError(str(error)) from error
        if text:
            self.stdout.write(text)


def _take(action: str, *, if_unused: bool) -> str:
    project = settings.BASE_DIR
    if action == "stop" and if_unused:
        server.stop_if_unused(project)
        return ""
    if action == "stop":
        return "PostgreSQL stopped." if server.stop(project) else "PostgreSQL was not running."
    if action == "remove":
        server.remove(project)
        return "PostgreSQL and its data removed."
    return _described(server.start(project) if action == "start" else server.status(project))


def _described(status: server.Status) -> str:
    sessions = ", ".join(f"{s.pid} ({s.application_name})" for s in status.sessions)
    return "\n".join(
        (
            f"PostgreSQL {status.major} {'runs' if status.running else 'does not run'}",
            f"data:      {status.data}",
            f"log:       {status.log}",
            f"socket:    {status.socket or 'none'}",
            f"sessions:  {sessions or 'none'}",
            f"processes: {', '.join(status.users) or 'none'}",
        )
    )

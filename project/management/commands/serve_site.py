"""`manage.py serve_site`: the reference site in a browser, with people in it.

It works on the site's own database, which it migrates and keeps, so every other command works on
what it serves. For development only: it prints passwords, which it makes anew at each start.
"""

import errno
import random
import secrets
import signal
import sys
from types import FrameType
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.servers.basehttp import (
    ThreadedWSGIServer,
    WSGIRequestHandler,
    get_internal_wsgi_application,
)
from django.db import DEFAULT_DB_ALIAS

from prefs.engine import seeding
from prefs.engine.states import State, current_state

HOST = "127.0.0.1"
USERS = 1_000
ODD = 0.1
SEED = 1
OPERATOR, USER = "operator", "user"


def port(text: str) -> int:
    """An argument that is a port, 0 for any that is free."""
    number = int(text)
    if not 0 <= number < 2**16:
        raise ValueError
    return number


class Command(BaseCommand):
    """Takes the port first, makes ready what is to be served, tells, serves."""

    help = "Serves the reference site with made-up users, an operator and a user."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare where to listen."""
        parser.add_argument("--port", type=port, default=8000, help="default: %(default)s")

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until a signal comes: exit status 130 after Ctrl-C, 143 after SIGTERM."""
        if not settings.DEBUG:
            raise CommandError(
                "DEBUG is off, so this is taken to be a real site, and serve_site makes up users"
                " and prints passwords. Nothing was done. Leave DATABASE_URL unset, or set"
                " DEBUG=on for a database that is there to be tried out.",
                returncode=2,
            )
        signal.signal(signal.SIGTERM, _end)
        # Who starts it in the background of a script may have it ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with _listening(options["port"]) as server:
                passwords = self._make_ready()
                self._tell(f"http://{HOST}:{server.server_port}", passwords)
                server.set_app(StaticFilesHandler(get_internal_wsgi_application()))
                server.serve_forever()
        except KeyboardInterrupt:
            self.stderr.write("Stopped. The database stays as it is for the next time.")
            sys.exit(128 + signal.SIGINT)

    def _make_ready(self) -> dict[str, str]:
        """Migrate, see that the people are there; the new passwords by user name."""
        self.stderr.write("Making the database ready ...")
        call_command("migrate", verbosity=0, interactive=False)
        missing = USERS - _accounts().filter(username__startswith=f"seed-{SEED}-").count()
        if missing > 0 and current_state(DEFAULT_DB_ALIAS) is State.EXPANDED:
            seeding.seed(DEFAULT_DB_ALIAS, missing, odd=ODD, seed=SEED, progress=lambda done: None)
        return {name: _reset(name, operator=name == OPERATOR) for name in (OPERATOR, USER)}

    def _tell(self, address: str, passwords: dict[str, str]) -> None:
        people = [f"  {name:<12} {password}" for name, password in passwords.items()]
        self.stdout.write(
            "\n".join(
                (
                    f"The reference site is at {address}/",
                    "",
                    f"  settings     {address}/preferences/",
                    f"  admin        {address}/admin/",
                    f"  API          {address}/api/users/me/preferences/",
                    "",
                    "User names and passwords, made anew at each start:",
                    "",
                    *people,
                    "",
                    f"{_accounts().count()} users. Other commands work on them too, such as",
                    f"{sys.executable} manage.py status_prefs",
                    "Ctrl-C stops the site, and keeps the database.",
                )
            )
        )
        self.stdout.flush()


def _listening(number: int) -> ThreadedWSGIServer:
    """A server that has the port; CommandError where it cannot be had."""
    try:
        return ThreadedWSGIServer((HOST, number), WSGIRequestHandler)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        why = "is taken" if error.errno == errno.EADDRINUSE else "is kept for root"
        raise CommandError(
            f"Port {number} of {HOST} {why}. Nothing was done. Stop what listens there, or choose"
            " another port: make serve PORT=8001, or serve_site --port 8001."
        ) from error


def _accounts() -> Any:
    return get_user_model()._default_manager


def _reset(name: str, *, operator: bool) -> str:
    """Have an account of this name, with a new password, which is returned."""
    user, is_new = _accounts().get_or_create(username=name)
    if is_new and not operator:
        user.preferences = seeding.usual_document(random.Random(name))
    user.is_active, user.is_staff, user.is_superuser = True, operator, operator
    password = secrets.token_urlsafe(9)
    user.set_password(password)
    user.save()
    return password


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)

"""What every command shares: options, exit statuses, stopping, and where output goes.

Results go to stdout, progress to stderr. With `--json` one object goes to stdout and
nothing else, whatever happens.
"""

from __future__ import annotations

import abc
import contextlib
import json
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.db import DEFAULT_DB_ALIAS, DatabaseError, OperationalError, connections

from prefs import conf
from prefs.codec import unstorable
from prefs.ddl import LOCK_NOT_AVAILABLE, TriesStopped, sqlstate
from prefs.engine.audit import acting_as, signature_here
from prefs.engine.batches import Control
from prefs.engine.gates import GateRefused
from prefs.engine.throttle import Watch
from prefs.errors import Mistake, PrefsError
from prefs.management.progress import ProgressLine
from prefs.models import Run

# What --json prints, what else is printed, the exit status.
Outcome = tuple[dict[str, Any], list[str], int]
ATTENTION = 3
Number = TypeVar("Number", int, float)
_UNDEFINED_TABLE = "42P01"
_ENDED = {
    "25006": "This session may only read: it is at a replica, or default_transaction_read_only is"
    " on for its role or database. Give the command the primary, and a role that may write.",
    "57014": "A statement was canceled by another session, or by the statement_timeout of this"
    " role: lift that for the role that runs this.",
}


class Stop:
    """Set by SIGINT or SIGTERM; the batch in hand is finished first."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        return self.signal is not None

    def status(self, run: Run) -> int:
        """The exit status of a run: by its signal where it was left before its end, else 0."""
        return 0 if run.status == Run.Status.DONE else self.left()

    def left(self) -> int:
        """The exit status of what was left before its end, by its signal or by an order."""
        return 128 + (self.signal or signal.SIGINT)

    @contextlib.contextmanager
    def listening(self, stderr: OutputWrapper) -> Iterator[None]:
        """Take the two signals while the block runs; a second one ends it at once."""

        def handler(number: int, frame: object) -> None:
            if self.signal is not None:
                raise SystemExit(128 + number)
            self.signal = number
            stderr.write("Stopping after this batch. Once more to stop at once.\n")

        before = {n: signal.signal(n, handler) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, previous in before.items():
                signal.signal(number, previous)


class PrefsCommand(BaseCommand, abc.ABC):
    """A command of the migration: parses, calls one function of the engine, prints."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--database",
            default=DEFAULT_DB_ALIAS,
            choices=list(connections),
            help="the database to work on (default: %(default)s)",
        )
        parser.add_argument(
            "--json", action="store_true", help="print one JSON object on stdout, nothing else"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.alias: str = options["database"]
        self.as_json: bool = options["json"]
        self.verbosity: int = options["verbosity"]
        self.stop = Stop()
        try:
            _refuse_other_encodings(options)
            reason, overrides = options.get("reason") or "", options.get("override") or ()
            signature = replace(signature_here(), reason=reason, overrides=frozenset(overrides))
            with acting_as(signature):
                result, lines, status = self.run(options)
        except PrefsError as error:
            self._fail(str(error), error.exit_status, error)
        except TriesStopped as error:
            self._fail(str(error), self.stop.left(), error)
        except DatabaseError as error:
            told = self._explained(error)
            if not told:
                self._print_error(str(error), 1, error)
                raise
            self._fail(told, 1, error)
        except Exception as error:
            self._print_error(str(error), getattr(error, "returncode", 1), error)
            raise
        else:
            self._print(result, lines)
            if status:
                sys.exit(status)

    @abc.abstractmethod
    def run(self, options: dict[str, Any]) -> Outcome:
        """Do the work."""

    def _print(self, result: dict[str, Any], lines: list[str]) -> None:
        self.stdout.write(json.dumps(result, default=str) if self.as_json else "\n".join(lines))

    def _fail(self, message: str, status: int, error: Exception) -> None:
        self._print_error(message, status, error)
        raise CommandError(message, returncode=status) from error

    def _print_error(self, message: str, status: int, error: Exception) -> None:
        if self.as_json:
            found = [f.record() for f in error.findings] if isinstance(error, GateRefused) else []
            self._print({"error": message, "status": status, "gates": found}, [])

    def _explained(self, error: DatabaseError) -> str:
        """A sentence for an error that has nothing to do with the migration, or nothing."""
        state, what = sqlstate(error), str(error).strip()
        gone = state[:2] in ("", "08") or state.startswith("57P")
        if isinstance(error, OperationalError) and gone:
            return (
                f"The database {self.alias!r} cannot be reached, or went away: {what}."
                " Nothing that was committed is lost. See that the server runs and DATABASE_URL"
                " is right, then run this command again."
            )
        if state == LOCK_NOT_AVAILABLE:
            return (
                "A row stayed locked by another session, and nothing waits long for one; what"
                " was not committed is undone. Run this command again."
            )
        if state in _ENDED:
            return f"{_ENDED[state]} What was not committed is undone. Then run this command again."
        if state == _UNDEFINED_TABLE:
            return (
                f"The database {self.alias!r} lacks a table ({what.splitlines()[0]}). Run"
                " `manage.py migrate`, then this command again."
            )
        return ""

    @contextlib.contextmanager
    def stoppable(self) -> Iterator[Control]:
        """How work of this command tells, and is stopped by a signal."""
        progress = ProgressLine(self.stderr, self.verbosity)
        with self.stop.listening(self.stderr):
            yield Control(progress=progress, notice=self.say, stopped=self.stop)
        progress.end()

    @contextlib.contextmanager
    def working(self, **more: Any) -> Iterator[Control]:
        """The same for work in batches, which the throttle holds back."""
        watch = Watch(self.alias, conf.current(), notice=self.say)
        with self.stoppable() as control, watch as throttle:
            yield replace(control, throttle=throttle, **more)

    def say(self, text: str) -> None:
        """A line of progress, unless -v 0 asks for none."""
        if self.verbosity:
            self.stderr.write(text, self.style.NOTICE)

    def confirm(self, question: str, options: dict[str, Any]) -> None:
        """Ask; an error unless the answer is yes, or --noinput was given."""
        if not options["interactive"]:
            return
        if not sys.stdin.isatty():
            raise Mistake(
                "This asks before it acts, and there is no terminal to ask on: add --noinput."
            )
        self.stderr.write(f"{question} Type yes to go on: ", ending="")
        if input() != "yes":
            raise CommandError("Not confirmed; nothing was changed.")

    @staticmethod
    def add_noinput(parser: CommandParser) -> None:
        """The option --noinput, for a command that asks."""
        parser.add_argument(
            "--noinput", "--no-input", dest="interactive", action="store_false", help="do not ask"
        )


def _refuse_other_encodings(options: dict[str, Any]) -> None:
    """Raise Mistake for an argument that is no UTF-8: nothing could store or print it."""
    for name, value in options.items():
        if isinstance(value, str) and unstorable(value):
            option, shown = name.replace("_", "-"), value.encode("utf-8", "backslashreplace")
            raise Mistake(
                f"--{option} is not text in UTF-8: {shown.decode()}. Nothing was done; give it"
                " in UTF-8."
            )


def number(
    make: Callable[[str], Number], least: Number, most: Number, name: str
) -> Callable[[str], Number]:
    """The type of an argument between two numbers; `name` is what argparse calls it."""

    def parse(text: str) -> Number:
        value = make(text)
        if not least <= value <= most:
            raise ValueError
        return value

    parse.__name__ = name
    return parse


# They fit the record of a run.
positive = number(int, 1, 2**31 - 1, "number from 1 to 2147483647")
natural = number(int, 0, 2**31 - 1, "number from 0 to 2147483647")
seconds = number(float, 0.0, sys.float_info.max, "number of seconds")
fraction = number(float, 0.0, 1.0, "fraction")

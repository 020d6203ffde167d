"""Processes of both releases, as a test sees them: ask, and be answered or refused."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from django.db import connection

from tests.support import forked, scratch


class Refused(Exception):
    """What a process answered with an error: its name, and its sentence."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message


class Worker:
    """One process; threads may share it, and are answered one after the other."""

    def __init__(self, module: str, environ: dict[str, str]) -> None:
        self._one_at_a_time = threading.Lock()
        program = ("-m", "tests.previous_release.worker", module)
        self._process = forked.start(environ, *program, stdin=True)

    def ask(self, command: str, **arguments: Any) -> Any:
        """The answer to a command. Raises Refused where the process raised."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._one_at_a_time:
            self._process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        assert line, f"the process ended, with status {self._process.wait()}"
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"], answer["message"])
        return answer["answer"]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Have what is asked in the block be one transaction, which then commits."""
        self.ask("begin")
        try:
            yield
        finally:
            self.ask("commit")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the process, and with it its sessions."""
        try:
            sys.stderr.write(self._process.communicate(timeout=10)[1])
        finally:
            self._process.kill()


def previous_release(database: str) -> Worker:
    """A process of the previous release; it knows the database, and nothing of this project."""
    connection.get_connection_params()
    where = {key: connection.settings_dict[key] for key in ("HOST", "PORT", "USER", "PASSWORD")}
    settings = {
        "DJANGO_SETTINGS_MODULE": "tests.previous_release.shop.settings",
        "SHOP_DATABASE": json.dumps({**where, "NAME": database}, default=str),
    }
    return Worker(
        "tests.previous_release.shop.commands", {**scratch.environment(database), **settings}
    )


def this_release(database: str) -> Worker:
    """A process of this release."""
    return Worker("tests.previous_release.current", scratch.environment(database))

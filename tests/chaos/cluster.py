"""A PostgreSQL of the harness's own: made, stopped at once again and again, removed."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from project.embedded import server
from project.embedded.account import server_account

DATABASE = "chaos"
_DEADLOCK_LINES = 12


class Server:
    """The server, which can be stopped as a crash would stop it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.address = server.use(folder, DATABASE)
        status = server.status(folder)
        self._data, self._log = status.data, status.log
        # The same options, so that it comes back at the same address.
        words = shlex.split((self._data / "postmaster.opts").read_text())
        self.options = shlex.join(words[words.index("-D") + 2 :])

    def database(self) -> dict[str, Any]:
        """Django's settings of the database on it."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": self.address.host,
            "PORT": self.address.port,
            "USER": self.address.user,
            "PASSWORD": self.address.password,
            "NAME": DATABASE,
            "OPTIONS": {"application_name": "prefs chaos"},
        }

    def deadlocks(self) -> list[str]:
        """What the server's log says of deadlocks: who waited for whom, with which statement."""
        lines = Path(self._log).read_text(errors="replace").splitlines()
        begun = [number for number, line in enumerate(lines) if "deadlock detected" in line]
        return [line for number in begun for line in lines[number : number + _DEADLOCK_LINES]]

    def crash(self) -> None:
        """Stop at once, without a checkpoint, and start again: recovery from the log."""
        for action in (
            ("stop", "-m", "immediate"),
            ("start", "-l", self._log, "-o", self.options),
        ):
            done = server_account().run(
                [self.address.programs / "pg_ctl", *action, "-D", self._data, "-w"]
            )
            if done.returncode:
                raise RuntimeError(f"pg_ctl {action[0]}: {done.stdout}")


@contextmanager
def running() -> Iterator[Server]:
    """A server while the block runs."""
    folder = Path(tempfile.mkdtemp(prefix="prefs-chaos-"))
    try:
        yield Server(folder)
    finally:
        server.leave(folder)
        server.remove(folder)
        shutil.rmtree(folder, ignore_errors=True)

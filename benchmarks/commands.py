"""Commands as users run them: `manage.py` in a process of its own, timed, its memory measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.databases import OURS, settings
from project.embedded.cluster import Address

ROOT = Path(__file__).resolve().parent.parent
_LOOK_EVERY = 0.02


class CommandFailed(RuntimeError):
    """A command of ours that did not end with status 0; its words are on stderr."""

    def __init__(self, arguments: tuple[str, ...], status: int, output: str) -> None:
        super().__init__(f"manage.py {' '.join(arguments)} ended with {status}: {output}")


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a command went, from its start to its end."""

    seconds: float
    peak_mb: float
    output: dict[str, Any]


def environment(address: Address, name: str, application: str = OURS) -> dict[str, str]:
    """The environment of a process of the site on a database."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        "PREFS_BENCHMARKS_DATABASE": json.dumps(settings(address, name, application)),
    }


class Command:
    """A command that is running."""

    def __init__(self, address: Address, database: str, *arguments: str) -> None:
        self._arguments = arguments
        self._began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=environment(address, database),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._peak_kb = 0
        self._watch = threading.Thread(target=self._watch_memory)
        self._watch.start()

    def _watch_memory(self) -> None:
        """Keep what the system has as the peak, until there is no more memory to speak of.

        What it has at the end of a child, ru_maxrss, is that of the parent where that is more.
        """
        status = Path(f"/proc/{self.process.pid}/status")
        while peak := [line for line in _lines(status) if line.startswith("VmHWM:")]:
            self._peak_kb = int(peak[0].split()[1])
            time.sleep(_LOOK_EVERY)

    def running(self) -> bool:
        """Whether it has not ended yet."""
        done = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return done is None

    def finish(self, allowed: tuple[int, ...] = (0,)) -> Finished:
        """Wait for its end. Raises CommandFailed unless its status is among the allowed."""
        assert self.process.stdout is not None
        with self.process.stdout as pipe:
            output = pipe.read()
        _, status = os.waitpid(self.process.pid, 0)
        seconds = time.monotonic() - self._began
        self._watch.join()
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode not in allowed:
            raise CommandFailed(self._arguments, self.process.returncode, output)
        return Finished(
            seconds=seconds,
            peak_mb=self._peak_kb / 1024,
            output=json.loads(output) if output.startswith("{") else {},
        )


def _lines(path: Path) -> list[str]:
    """The lines of a file; none of one that is gone."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return []

"""Programs of Python in processes of their own, each forked from one that has Django loaded.

To load Django takes most of a short command's time, and a run of the tests starts hundreds. So
each process of the run has a server of multiprocessing's that loads it once and is forked for
each program. Nothing that a site's settings decide is loaded before: the program does that, in
its own environment, with its own connections, signals and exit status, as after `python -W error`.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

ROOT = Path(__file__).resolve().parent.parent.parent
_LOADED = ["tests.support.forked", "tests.support.loaded"]


class Process:
    """A program at work, with what `subprocess.Popen` has: pipes of text, signals, a status."""

    def __init__(
        self, environ: dict[str, str], arguments: Sequence[str], stdin: bool, folder: Path
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_LOADED)
        theirs: Connection | None = None
        self.stdin: IO[str] | None = None
        if stdin:
            theirs, self.stdin = _pipe_to()
        self.stdout, out = _pipe_from()
        self.stderr, err = _pipe_from()
        # Plain text: to unpickle a constant of ours would load its module before the program.
        self.args = [str(argument) for argument in arguments]
        # Ended with this process, should a test forget it.
        self._process = context.Process(
            target=_become,
            args=(environ, self.args, str(folder), theirs, out, err),
            daemon=True,
        )
        self._process.start()
        for end in filter(None, (theirs, out, err)):
            end.close()

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | Any:
        """Its exit status, None while it runs; -N of one ended by the signal N."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Its exit status, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status at its end. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if (status := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return status

    def communicate(self, text: str | None = None, timeout: float | None = None) -> tuple[str, str]:
        """What it writes until its end, after `text` and no more. Raises TimeoutExpired."""
        if self.stdin and not self.stdin.closed:
            if text and self.poll() is None:
                self.stdin.write(text)
            self.stdin.close()
        with ThreadPoolExecutor(2) as readers:
            written = [readers.submit(_rest, each) for each in (self.stdout, self.stderr)]
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                # The readers wait for its end.
                self.kill()
                raise
        return written[0].result(), written[1].result()

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Close the pipes, and wait for its end."""
        for pipe in filter(None, (self.stdin, self.stdout, self.stderr)):
            pipe.close()
        self.wait()


def start(
    environ: dict[str, str], *arguments: str, stdin: bool = False, folder: Path = ROOT
) -> Process:
    """Begin `python arguments`: a file, or -m and a module. No stdin unless one is asked for.

    It works in `folder`, whose modules come first.
    """
    return Process(environ, arguments, stdin, folder)


def _pipe_to() -> tuple[Connection, IO[str]]:
    reader, writer = multiprocessing.Pipe(duplex=False)
    with writer:
        return reader, os.fdopen(os.dup(writer.fileno()), "w")


def _pipe_from() -> tuple[IO[str], Connection]:
    reader, writer = multiprocessing.Pipe(duplex=False)
    with reader:
        return os.fdopen(os.dup(reader.fileno())), writer


def _rest(pipe: IO[str]) -> str:
    if pipe.closed:
        return ""
    with pipe:
        return pipe.read()


def _become(
    environ: dict[str, str],
    arguments: Sequence[str],
    folder: str,
    stdin: Connection | None,
    stdout: Connection,
    stderr: Connection,
) -> None:
    """Be the program, in the process that was forked for it."""
    with Path(os.devnull).open() as nothing:
        for number, end in enumerate((stdin or nothing, stdout, stderr)):
            os.dup2(end.fileno(), number)
    for each in filter(None, (stdin, stdout, stderr)):
        each.close()
    sys.stdin = os.fdopen(0, closefd=False)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    sys.path.insert(0, folder)
    warnings.simplefilter("error")
    if arguments[0] == "-m":
        sys.argv = list(arguments[1:])
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(arguments)
        runpy.run_path(arguments[0], run_name="__main__")

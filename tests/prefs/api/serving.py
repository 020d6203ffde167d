"""The site behind a real web server, in processes of its own, on the database of a test."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support import scratch

# The program, and what follows it: the socket by its number, how many workers there are.
_PROGRAMS = {
    "gunicorn": (
        "gunicorn",
        "--preload",
        "--bind",
        "fd://{fd}",
        "--workers",
        "{workers}",
        "{wsgi}",
    ),
    "uvicorn": ("uvicorn", "--fd", "{fd}", "--lifespan", "off", "project.asgi:application"),
}


@contextmanager
def served(
    site: str,
    program: str = "gunicorn",
    *,
    workers: int = 1,
    wsgi: str = "project.wsgi:application",
    **settings: object,
) -> Iterator[str]:
    """The address of a web server, ready to answer, with such PREFS_ settings."""
    environ = {
        **scratch.environment(site, **settings),
        "DJANGO_SETTINGS_MODULE": "tests.prefs.api.settings",
        "ALLOWED_HOSTS": "127.0.0.1",
    }
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd = listener.fileno()
        arguments = [each.format(fd=fd, workers=workers, wsgi=wsgi) for each in _PROGRAMS[program]]
        with subprocess.Popen(
            [sys.executable, "-m", *arguments, "--log-level", "warning"],
            cwd=scratch.ROOT,
            env=environ,
            pass_fds=[fd],
            stdout=subprocess.DEVNULL,
        ) as process:
            try:
                # A socket that listens holds connections until there is a worker.
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                process.terminate()

"""A run's databases in memory, where the system has a folder for that with room enough.

The tests make and drop hundreds of databases, of hundreds of files each: on a disk that alone is
a quarter of the work. The server is this project's embedded one with its data in another folder
(PREFS_PG_FOLDER), made for the run and removed after it; whatever else it holds stays as it is.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

import pytest
from django.conf import settings

from project.embedded import places, server

VARIABLE = "PREFS_PG_FOLDER"
_MEMORY = Path("/dev/shm")
# A run has needed a third of it.
_ROOM = 4 * 1024**3
_TRIES = 30
_ours = pytest.StashKey[bool]()


def has_room(folder: Path) -> bool:
    """Whether a run's databases fit into a folder that we may write to."""
    return os.access(folder, os.W_OK | os.X_OK) and shutil.disk_usage(folder).free >= _ROOM


def pytest_configure(config: pytest.Config) -> None:
    """Have this run's server in memory, unless a place or a server was chosen."""
    chosen = {VARIABLE, "DATABASE_URL"} & os.environ.keys()
    # The processes of a run inherit the choice of the first.
    config.stash[_ours] = not chosen and has_room(_MEMORY)
    if config.stash[_ours]:
        os.environ[VARIABLE] = str(_MEMORY)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give the memory back, unless another run uses the server: then that one does."""
    if config.stash.get(_ours, False):
        server.leave(settings.BASE_DIR)
        if (settings.BASE_DIR / ".postgres" / places.CHOSEN_POINTER).exists():
            _remove()
        del os.environ[VARIABLE]


def _remove() -> None:
    # Processes of an interrupted run may be about to end.
    for _ in range(_TRIES):
        with suppress(server.ServerInUseError):
            server.remove(settings.BASE_DIR)
            return
        time.sleep(0.1)

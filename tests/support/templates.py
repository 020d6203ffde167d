"""The migrated database that every other is copied from: one for a run, made by its first process.

The processes of a run share a folder. A file in it tells the template's name and how many use
it, read and written under a lock: whoever comes first migrates while the others wait, and
whoever leaves last drops it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management import call_command

from project.embedded import locks
from tests.support import scratch


def join(folder: Path) -> str:
    """Use the template of the run whose folder this is, making it if it is not there.

    Returns:
        Its name.
    """
    with _users(folder) as used:
        name, users = json.loads(used.read_text()) if used.exists() else (_migrated(), 0)
        used.write_text(json.dumps([name, users + 1]))
    return str(name)


def leave(folder: Path) -> None:
    """Use it no more; the last drops it."""
    with _users(folder) as used:
        name, users = json.loads(used.read_text())
        used.write_text(json.dumps([name, users - 1]))
        if users == 1:
            scratch.drop(name)
            used.unlink()


@contextmanager
def _users(folder: Path) -> Iterator[Path]:
    """The file with the template's name and how many use it, which nobody else has meanwhile."""
    with locks.exclusive(folder / "template.lock"):
        yield folder / "template.json"


def _migrated() -> str:
    """A database without users that `migrate` has made."""
    name = scratch.create()
    with scratch.pointed_at(name):
        call_command("migrate", verbosity=0)
    with scratch.connect(name) as session:
        # A test decides itself when the planner learns of its rows.
        session.execute("ALTER TABLE accounts_user SET (autovacuum_enabled = off)")
    return name

"""Writers in processes of their own. This module is imported before Django is set up."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

WRITERS = 4


def _start(database: str) -> None:
    """Set up Django on the test database: a spawned process begins with nothing."""
    import django
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = database
    django.setup()


def writers(database: str) -> ProcessPoolExecutor:
    """A pool of processes, each with a connection of its own to `database`."""
    return ProcessPoolExecutor(
        max_workers=WRITERS,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(database,),
    )

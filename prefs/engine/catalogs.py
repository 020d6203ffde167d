"""Questions to PostgreSQL's catalogs, answered alike whatever the session has set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.db import connections, transaction

from prefs.sql import asking, installed
from prefs.sql.places import placed


def rows(alias: str, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """The rows of one statement."""
    return asking.rows(connections[alias], statement, parameters)


def placed_in(alias: str, text: str) -> str:
    """A statement, or a name, of ours with the schemas of that database in it."""
    return placed(text, connections[alias])


@contextmanager
def plainly(alias: str) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """`rows`, for which the catalogs print names one way: qualified, and few of them quoted.

    For questions alone: the settings go as they came, by rolling back.
    """
    with transaction.atomic(using=alias):
        rows(alias, installed.plainly())
        yield partial(rows, alias)
        transaction.set_rollback(True, using=alias)

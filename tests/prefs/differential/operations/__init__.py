"""The list of operations: small functions of a World, each with a result that can be compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from tests.prefs.differential.world import World

Work = Callable[[World], Any]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What is done, and what the plain column is known to raise at it."""

    work: Any
    raises: type[BaseException] | None = None


OPERATIONS: dict[str, Operation] = {}


def operation(work: Work) -> Work:
    """Add a function to the list; with a plain column it raises nothing."""
    return _add(work, None)


def raising(error: type[BaseException]) -> Callable[[Work], Work]:
    """Add a function to the list that raises this with a plain column."""
    return lambda work: _add(work, error)


def _add(work: Work, error: type[BaseException] | None) -> Work:
    name = work.__name__
    assert name not in OPERATIONS, f"two operations are called {name}"
    OPERATIONS[name] = Operation(work=work, raises=error)
    return work


def everything() -> dict[str, Operation]:
    """The list, with all files of this folder."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return OPERATIONS

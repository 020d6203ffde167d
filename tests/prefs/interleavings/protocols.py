"""Broken protocols: each a small patch of the real code, or of the database, while a block runs.

Each stands for something that was tried and rejected, or that a change could bring back, and
says in which scenarios its loss must be seen. They register themselves: `registry` has them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest

Patch = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A broken protocol; `patch` breaks it, and each scenario of `caught_in` must end wrongly.

    Where that is `KILLED`, a backfill that is killed at every statement must.
    """

    name: str
    sentence: str
    patch: Patch
    caught_in: tuple[str, ...]


KILLED = "a backfill killed at every statement"
PROTOCOLS: dict[str, Protocol] = {}


def broken(*caught_in: str) -> Callable[[Callable[[], Iterator[None]]], Patch]:
    """Register a patch under its own name, with its docstring as the sentence."""

    def register(function: Callable[[], Iterator[None]]) -> Patch:
        patch = contextmanager(function)
        name, sentence = function.__name__.replace("_", " "), function.__doc__ or ""
        PROTOCOLS[name] = Protocol(name=name, sentence=sentence, patch=patch, caught_in=caught_in)
        return patch

    return register


@contextmanager
def replaced(name: str, new: object, *owners: object) -> Iterator[None]:
    """Have `owners`, modules or classes, hold `new` by this name."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for owner in owners:
            monkeypatch.setattr(owner, name, new)
        yield


def changed(text: str, old: str, new: str) -> str:
    """`text` with a part exchanged that must be in it."""
    assert old in text, old
    return text.replace(old, new)

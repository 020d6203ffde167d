"""The sections of a run: each a module with TITLE, HOW (for the report) and `measure`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from benchmarks.bench import Bench
from benchmarks.series import Series

# In the order in which they are measured and reported.
NAMES = (
    "backfill",
    "verification",
    "upkeep",
    "calls",
    "canary",
    "field",
    "api",
    "audience",
    "lookups",
    "live",
    "wal",
    "sizes",
    "growth",
)


@dataclass(frozen=True, kw_only=True)
class Section:
    """What is measured together; `how` says how, for the report."""

    title: str
    how: str
    measure: Callable[[Bench], list[Series]]


def section(name: str) -> Section:
    """A section by its name. Its module knows models, so Django must be set up."""
    module = import_module(f"benchmarks.sections.{name}")
    return Section(title=module.TITLE, how=module.HOW, measure=module.measure)

"""Samples of one thing that was measured, a value a round, and their figures."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

# What one round of one contender gives: a value by its unit.
Outcome = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Series:
    """The values of one contender in one unit, a value a round."""

    name: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)


class Samples:
    """Gathers outcomes round by round into series, in the order of their first appearance."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], list[float]] = {}

    def add(self, name: str, outcome: Outcome) -> None:
        """Take the outcome of one round of `name`."""
        for unit, value in outcome.items():
            self._values.setdefault((name, unit), []).append(value)

    def series(self) -> list[Series]:
        """What was gathered."""
        return [
            Series(name=name, unit=unit, values=tuple(values))
            for (name, unit), values in self._values.items()
        ]

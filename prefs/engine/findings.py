"""What a gate is asked with, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from prefs.conf import Settings
from prefs.engine.look import Look, look
from prefs.engine.states import Gate


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one gate found: whether it is met, what it saw, and what meets it."""

    gate: Gate
    met: bool
    found: str
    remedy: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    overridden: bool = False

    @property
    def passes(self) -> bool:
        return self.met or self.overridden

    def record(self) -> dict[str, Any]:
        """The finding as it is stored and printed as JSON."""
        return {**asdict(self), "gate": str(self.gate)}


def none_of(
    gate: Gate, wrong: Sequence[str], otherwise: str, remedy: str, **figures: Any
) -> Finding:
    """Met where there is none of what would be wrong; else it is listed."""
    found = "; ".join(wrong) or otherwise
    return Finding(gate=gate, met=not wrong, found=found, remedy=remedy, figures=figures)


@dataclass(frozen=True, kw_only=True)
class Inquiry:
    """What a gate may ask of: one database at one time, and the settings of the site."""

    alias: str
    settings: Settings
    answers: dict[Gate, Finding] = field(default_factory=dict)

    @cached_property
    def look(self) -> Look:
        """What is installed, and how the site is set up: one look for all gates that ask."""
        return look(self.alias)

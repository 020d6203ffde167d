"""What was measured, as it is kept between runs: sections can be measured alone and merged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.series import Series


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One section as it was measured: when, by which command, on how many users."""

    at: str
    command: str
    users: int
    rounds: int
    series: tuple[Series, ...]


@dataclass(frozen=True, kw_only=True)
class Raw:
    """All sections, and the machine."""

    machine: Mapping[str, str]
    sections: Mapping[str, Measured]


def save(raw: Raw, path: Path) -> None:
    """Write it down."""
    path.write_text(json.dumps(asdict(raw), indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> dict[str, Measured]:
    """The sections that were written down before; none where there is no such file."""
    if not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {name: _measured(record) for name, record in found["sections"].items()}


def _measured(record: dict[str, Any]) -> Measured:
    series = tuple(
        Series(name=s["name"], unit=s["unit"], values=tuple(s["values"])) for s in record["series"]
    )
    return Measured(**{**record, "series": series})

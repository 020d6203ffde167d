"""What a rehearsal reports: a table of the states, then the verdict, or the same as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from prefs.plan.model import Plan
from prefs.rehearsal.record import Record

_SHOWN = 5
# What is counted, and how the verdict calls it.
_COUNTS = {
    "users": "users",
    "requests": "requests",
    "failed_requests": "failed requests",
    "lost_writes": "lost writes",
    "mismatches": "differences",
    "blobs_changed": "blobs changed by the round trip",
    "quarantined": "quarantined leaves",
    "interrupted": "backfills stopped and resumed",
}


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One state of the rehearsal and the requests that began in it; latencies in ms."""

    name: str
    began: float
    ended: float
    requests: int = 0
    failed: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile; None of nothing."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def phases_of(phases: Sequence[Phase], records: Sequence[Record]) -> tuple[Phase, ...]:
    """The phases with the requests that began in each."""
    return tuple(_with_requests(phase, records) for phase in phases)


def _with_requests(phase: Phase, records: Sequence[Record]) -> Phase:
    inside = [
        (latency, done)
        for record in records
        for began, latency, done in record.requests
        if phase.began <= began < phase.ended
    ]
    latencies = [latency for latency, _ in inside]
    return replace(
        phase,
        requests=len(inside),
        failed=sum(1 for _, done in inside if not done),
        p50_ms=percentile(latencies, 0.50),
        p99_ms=percentile(latencies, 0.99),
    )


@dataclass(frozen=True, kw_only=True)
class Report:
    """The figures of one rehearsal."""

    users: int
    seconds: float
    phases: tuple[Phase, ...]
    records: tuple[Record, ...]
    lost: list[str]
    mismatches: int
    interrupted: int
    blobs_changed: int
    column_changed: bool
    quarantined: int
    database: str | None
    plan: Plan | None = None

    @property
    def requests(self) -> int:
        return sum(len(record.requests) for record in self.records)

    @property
    def failed_requests(self) -> int:
        return sum(len(record.errors) for record in self.records)

    @property
    def lost_writes(self) -> int:
        return len(self.lost)

    @property
    def clean(self) -> bool:
        """Whether nothing failed, nothing was lost and nothing was changed."""
        wrong = (self.failed_requests, self.lost, self.mismatches, self.blobs_changed)
        return not any(wrong) and not self.column_changed and self.requests > 0

    def figures(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            **{name: getattr(self, name) for name in _COUNTS},
            "seconds": round(self.seconds, 1),
            "column_changed": self.column_changed,
            "clean": self.clean,
            "database": self.database,
            "phases": [
                {
                    "name": phase.name,
                    "seconds": round(phase.seconds, 2),
                    "requests": phase.requests,
                    "failed_requests": phase.failed,
                    "p50_ms": phase.p50_ms and round(phase.p50_ms, 2),
                    "p99_ms": phase.p99_ms and round(phase.p99_ms, 2),
                }
                for phase in self.phases
            ],
        }

    def lines(self) -> list[str]:
        """The report as a table and a verdict."""
        head = f"{'state':<22}{'seconds':>9}{'requests':>10}{'failed':>8}{'p50 ms':>9}{'p99 ms':>9}"
        lines = [head, "-" * len(head)]
        lines += [
            f"{phase.name:<22}{phase.seconds:>9.1f}{phase.requests:>10}{phase.failed:>8}"
            f"{_ms(phase.p50_ms):>9}{_ms(phase.p99_ms):>9}"
            for phase in self.phases
        ]
        column = "not as it was" if self.column_changed else "as it was"
        counts = {label: getattr(self, name) for name, label in _COUNTS.items()}
        verdict = {**counts, "column after the round trip": column}
        lines += ["-" * len(head), *(f"{what:<34}{value:>12}" for what, value in verdict.items())]
        errors = [error for record in self.records for error in record.errors]
        lines += [f"  failed: {error}" for error in errors[:_SHOWN]]
        lines += [f"  lost: {loss}" for loss in self.lost[:_SHOWN]]
        if self.database:
            lines.append(f"The database {self.database} was kept.")
        return lines


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"

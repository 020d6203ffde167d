"""docs/benchmarks.md and results.json, from what was measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from benchmarks.ratios import RATIOS, Ratio
from benchmarks.raw import Measured, Raw
from benchmarks.sections import Section
from benchmarks.series import Series


def results(raw: Raw) -> str:
    """results.json: an entry for each row, its value null where it was not measured."""
    measured = _series(raw)
    entries = [
        {"name": row.name, "value": _rounded(row.value(measured)), "limit": row.limit}
        for row in RATIOS
    ]
    return json.dumps({"ratios": entries}, indent=1, ensure_ascii=False) + "\n"


def document(raw: Raw, sections: Mapping[str, Section]) -> str:
    """docs/benchmarks.md: machine and commands, ratios, then every figure by section."""
    parts = [
        "# Benchmarks",
        "Written by `make bench`; figures of one machine are good as ratios.",
        _machine(raw),
        _runs(raw),
        "## Ratios",
        "Each is the median of the rounds of one over that of the other, both of the same section"
        " and the same data; of several contenders that a row could mean it is the one that is"
        " worst for us. A wait is the longest of all rounds.",
        _ratios(raw),
    ]
    for name, section in sections.items():
        if name in raw.sections:
            parts += [f"## {section.title}", section.how, _figures(raw.sections[name])]
    return "\n\n".join(parts) + "\n"


def _series(raw: Raw) -> dict[str, tuple[Series, ...]]:
    return {name: section.series for name, section in raw.sections.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _machine(raw: Raw) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in raw.machine.items())


def _runs(raw: Raw) -> str:
    """The one command that measured everything, or which measured what, and when."""
    runs: dict[tuple[str, str], list[str]] = {}
    for name, section in raw.sections.items():
        runs.setdefault((section.at, section.command), []).append(name)
    lines = []
    for (at, command), names in runs.items():
        what = "all of it" if len(runs) == 1 else ", ".join(names)
        lines.append(f"- {at}: `{command}` ({what})")
    return "\n".join(lines)


def _ratios(raw: Raw) -> str:
    measured = _series(raw)
    rows = [_ratio(row, row.value(measured)) for row in RATIOS]
    return _table(("what", "measured", "at most", ""), rows)


def _ratio(row: Ratio, value: float | None) -> tuple[str, ...]:
    unit = "" if row.under or row.unit.startswith("times") else " ms"
    if value is None:
        return row.name, "not measured", f"{row.limit:g}{unit}", ""
    met = "met" if value <= row.limit else "**not met**"
    return row.name, f"{value:.3g}{unit}", f"{row.limit:g}{unit}", met


def _figures(section: Measured) -> str:
    rows = [
        (
            each.name,
            each.unit,
            _figure(each.median),
            _figure(min(each.values)),
            _figure(max(each.values)),
            str(len(each.values)),
        )
        for each in section.series
    ]
    head = ("what", "unit", "median", "least", "most", "rounds")
    return f"{section.users:,} users.\n\n" + _table(head, rows)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

"""One run: the sections one after the other, each written down as soon as it was measured."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import report
from benchmarks.bench import Bench, Options
from benchmarks.databases import Databases
from benchmarks.machine import machine
from benchmarks.raw import Measured, Raw, load, save
from benchmarks.sections import NAMES, section


def measure(
    options: Options,
    names: Sequence[str],
    databases: Databases,
    folder: Path,
    say: Callable[[str], None],
) -> None:
    """Measure these sections and write docs/benchmarks.md and both JSON files below `folder`.

    What was measured of other sections before is kept.
    """
    found = load(folder / "benchmarks" / "raw.json")
    began = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    for name in names:
        say(f"--- {name}")
        series = section(name).measure(Bench(options=options, databases=databases, say=say))
        found[name] = Measured(
            at=began,
            command=shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
            users=options.users,
            rounds=options.rounds,
            series=tuple(series),
        )
        ordered = {each: found[each] for each in NAMES if each in found}
        _write(Raw(machine=machine(databases), sections=ordered), folder)


def _write(raw: Raw, folder: Path) -> None:
    for name in ("benchmarks", "docs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    save(raw, folder / "benchmarks" / "raw.json")
    results = report.results(raw)
    (folder / "benchmarks" / "results.json").write_text(results, encoding="utf-8")
    chapters = {name: section(name) for name in NAMES}
    text = report.document(raw, chapters)
    (folder / "docs" / "benchmarks.md").write_text(text, encoding="utf-8")

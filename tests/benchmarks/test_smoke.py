"""One run of everything with a few users. What it took is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.ratios import RATIOS
from benchmarks.sections import NAMES
from tests.support.scratch import ROOT


def test_a_run_has_a_figure_for_every_row(tmp_path: Path) -> None:
    small = ("--users", "100", "--rounds", "1", "--growth", "25,50,100")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *small, "--into", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    entries = json.loads((tmp_path / "benchmarks" / "results.json").read_text())["ratios"]
    assert [entry["name"] for entry in entries] == [row.name for row in RATIOS]
    assert all(isinstance(entry["value"], int | float) for entry in entries), entries
    raw = json.loads((tmp_path / "benchmarks" / "raw.json").read_text())
    assert tuple(raw["sections"]) == NAMES
    report = (tmp_path / "docs" / "benchmarks.md").read_text()
    assert all(row.name in report for row in RATIOS)

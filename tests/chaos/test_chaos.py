"""The short form of `make chaos`: the same processes, kills and crashes, for some seconds."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.prefs.scratch import ROOT

_TOTALS = re.compile(
    r"(\d+) acknowledged writes, (\d+) flips, (\d+) kills, (\d+) immediate stops: 0 lost,"
    r" 0 from nowhere, 0 users missing, 0 mismatches"
)


def test_a_short_history_is_clean() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--minutes", "0.3", "--seed", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    totals = _TOTALS.fullmatch(done.stdout.splitlines()[-1])
    assert totals, done.stdout
    assert all(int(figure) > 0 for figure in totals.groups())

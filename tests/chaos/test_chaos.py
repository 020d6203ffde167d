"""The short form of `make chaos`: the same processes, kills and crashes, for some seconds."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.support.scratch import ROOT

_TOTALS = re.compile(
    r"(\d+) acknowledged writes, (\d+) flips, (\d+) kills, (\d+) immediate stops: 0 lost,"
    r" 0 from nowhere, 0 users missing, 0 mismatches"
)


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--seed", "1", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_a_short_history_is_clean() -> None:
    done = _run("--minutes", "0.3")
    assert done.returncode == 0, done.stdout + done.stderr
    totals = _TOTALS.fullmatch(done.stdout.splitlines()[-1])
    assert totals, done.stdout
    assert all(int(figure) > 0 for figure in totals.groups())


def test_a_broken_protocol_is_caught_at_once_and_told_by_the_events_that_show_it() -> None:
    name = "a write without a lock"
    done = _run("--minutes", "2", "--broken", name)
    assert done.returncode == 1, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(rf"{name}: caught by .+ after [\d.]+ s, \d+ flips, seed 1", last), last
    assert re.search(r"s  client \d+: token \d+ acknowledged\n", done.stdout), done.stdout

"""Live traffic at a fixed rate, alone and beside a backfill."""

from __future__ import annotations

import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.bench import Bench, shown
from benchmarks.commands import ROOT, environment
from benchmarks.contenders import ours
from benchmarks.data import seeded
from benchmarks.series import Outcome, Samples, Series
from benchmarks.traffic import APPLICATION
from benchmarks.waits import Waits
from prefs.mapping import USER_TABLE
from prefs.sql.names import quote

TITLE = "Live traffic"
_RATE = 100
HOW = (
    f"{_RATE} requests a second by a process of its own, each due at a fixed moment from which its"
    " latency counts: 78 % `document`, 20 % `merge`, 1 % new users, 1 % users who leave, in the"
    " state `expanded`. Windows alone and beside a backfill (one worker, `--max-rate` a little over"
    " half of what a backfill alone did right before) alternate. Every 4 ms another session looks"
    " for statements of the traffic that wait for a lock which a session of ours holds."
)
_LONGEST = 15.0
_SHARE = 0.54
_PAIRS = 2
_SETTLE = 1.0
_RUNNING = "SELECT EXISTS (SELECT FROM prefs_run WHERE status = 'running')"
_ALONE, _BESIDE = "live traffic alone", "live traffic beside a backfill"
Window = tuple[float, float]


def measure(bench: Bench) -> list[Series]:
    """Percentiles of latency, and the longest wait for a lock of ours."""
    template, samples = seeded(bench, bench.options.users), Samples()
    full = _full_rate(bench, template)
    for number in range(bench.options.rounds):
        with bench.databases.copied(template) as database:
            outcomes = _round(bench, database, full)
        for name, outcome in outcomes.items():
            samples.add(name, outcome)
            bench.say(f"round {number + 1}, {name}: {shown(outcome)}")
    return samples.series()


def _full_rate(bench: Bench, template: str) -> float:
    users = bench.options.users
    contender = ours(bench, template, users, "backfill_prefs", "--workers", "1")
    with bench.databases.copied(template) as database:
        return users / contender.run(database)["s by the run's own record"]


def _round(bench: Bench, database: str, full: float) -> dict[str, Outcome]:
    """Pairs of windows on one database; the backfill of each resumes the one before."""
    # So that a small site, too, lasts for a second of each window.
    rate = max(1.0, min(full * _SHARE, bench.options.users / _PAIRS))
    seconds = min(_LONGEST, bench.options.users / rate / _PAIRS)
    alone: list[Window] = []
    beside: list[Window] = []
    with _traffic(bench, database) as requests, Waits(bench.databases, database) as waits:
        for _ in range(_PAIRS):
            time.sleep(_SETTLE)
            alone.append(_window(seconds))
            beside.append(_backfill(bench, database, round(rate), seconds))
    copied = bench.databases.one(database, f"SELECT count(*) FROM {quote(USER_TABLE)}")
    return {
        _ALONE: _percentiles(requests, alone),
        _BESIDE: {
            **_percentiles(requests, beside),
            "longest lock wait ms": waits.longest,
            "lock waits": waits.seen,
            "share of its full rate": copied / sum(e - b for b, e in beside) / full,
        },
    }


def _window(seconds: float) -> Window:
    began = time.time()
    time.sleep(seconds)
    return began, time.time()


def _backfill(bench: Bench, database: str, rate: int, seconds: float) -> Window:
    """A backfill from when it is running to its end, or until it was told to stop."""
    command = bench.begin(database, "backfill_prefs", "--workers", "1", "--max-rate", str(rate))
    while command.running() and not bench.databases.one(database, _RUNNING):
        time.sleep(0.02)
    began = time.time()
    while command.running() and time.time() - began < seconds:
        time.sleep(0.02)
    if command.running():
        command.process.send_signal(signal.SIGTERM)
    command.finish(allowed=(0, 128 + signal.SIGTERM))
    return began, time.time()


@contextmanager
def _traffic(bench: Bench, database: str) -> Iterator[list[Window]]:
    """Live traffic while the block runs; then when each request was due, and its milliseconds."""
    requests: list[Window] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "requests"
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.traffic", str(_RATE), str(path)],
            cwd=ROOT,
            env=environment(bench.databases.address, database, APPLICATION),
        )
        try:
            while not path.exists() and process.poll() is None:
                time.sleep(0.05)
            yield requests
        finally:
            process.terminate()
            status = process.wait()
        if status:
            raise RuntimeError(f"The live traffic ended with status {status}.")
        for line in path.read_text(encoding="utf-8").splitlines():
            due, took = map(float, line.split())
            requests.append((due, took))


def _percentiles(requests: list[Window], windows: list[Window]) -> dict[str, float]:
    took = [ms for due, ms in requests if any(begin <= due < end for begin, end in windows)]
    cuts = statistics.quantiles(took, n=100, method="inclusive")
    return {"p50 ms": cuts[49], "p99 ms": cuts[98], "requests": len(took)}

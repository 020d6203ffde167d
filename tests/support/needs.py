"""What some tests need that no Python package brings, and the list of what was left out.

A test, or a module in `pytestmark`, says `needs(CHROMIUM)`. Where that is missing the test is
left out before any fixture of it is made, and the end of the run names it with what to
install. There is no other way to leave a test out: a skip that is raised in a thread would be
an error, and one without a name would tell nobody what was not tested (`make lint` holds that).
"""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

_MARK, _LEFT_OUT = "needs", "left out"


@dataclass(frozen=True, kw_only=True)
class Need:
    """Something that may be missing here: its name, how it is had, and whether it is there."""

    name: str
    remedy: str
    is_met: Callable[[], bool]

    def __str__(self) -> str:
        return f"{self.name} ({self.remedy})"


def program(*names: str) -> str | None:
    """Where the first of these programs is that PATH knows, or None.

    Daemons stand in the `sbin` beside a `bin`, which PATH names for root alone.
    """
    folders = [Path(folder) for folder in os.get_exec_path()]
    beside = [str(folder.with_name("sbin")) for folder in folders if folder.name == "bin"]
    path = os.pathsep.join([*map(str, folders), *beside])
    return next(filter(None, (shutil.which(name, path=path) for name in names)), None)


def chromium() -> str | None:
    """The browser's program, by any of its names."""
    return program("chromium", "chromium-browser", "google-chrome")


def pgbouncer() -> str | None:
    """The proxy's program."""
    return program("pgbouncer")


def _of_debian(package: str, found: Callable[[], object]) -> Need:
    return Need(
        name=package,
        remedy=f"Debian's package {package}",
        is_met=lambda: found() is not None,
    )


@cache
def _prepares_transactions() -> bool:
    from tests.support import scratch

    with scratch.connect("postgres") as session:
        return session.execute("SHOW max_prepared_transactions").fetchone() != ("0",)


CHROMIUM = _of_debian("chromium", chromium)
PGBOUNCER = _of_debian("pgbouncer", pgbouncer)
SPIN = _of_debian("spin", lambda: program("spin"))
GCC = Need(
    name="gcc",
    remedy="Debian's packages gcc and libc6-dev",
    is_met=lambda: program("gcc") is not None,
)
PREPARED_TRANSACTIONS = Need(
    name="prepared transactions",
    remedy="the server's setting max_prepared_transactions, 20 say",
    is_met=_prepares_transactions,
)
AS_ROOT = Need(name="root", remedy="run as root", is_met=lambda: os.geteuid() == 0)
LINUX = Need(name="Linux", remedy="for /proc", is_met=lambda: sys.platform == "linux")


def needs(*wanted: Need) -> pytest.MarkDecorator:
    """Mark tests that are left out, by name, where one of these is missing."""
    return getattr(pytest.mark, _MARK)(*wanted)  # type: ignore[no-any-return]


def _missing(item: pytest.Item) -> list[Need]:
    wanted = dict.fromkeys(need for mark in item.iter_markers(_MARK) for need in mark.args)
    return [need for need in wanted if not need.is_met()]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave a test out that lacks something, in the main thread and before its fixtures."""
    missing = [str(need) for need in _missing(item)]
    if missing:
        # Properties come from the processes that run tests to the one that reports.
        item.user_properties += [(_LEFT_OUT, need) for need in missing]
        pytest.skip(f"needs {' and '.join(missing)}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was left out, once for each thing that is missing."""
    left_out = Counter(
        value
        for report in terminalreporter.getreports("skipped")
        for name, value in report.user_properties
        if name == _LEFT_OUT
    )
    if left_out:
        terminalreporter.section("left out")
        for line in _sentences(left_out):
            terminalreporter.line(line)


def _sentences(left_out: Counter[object]) -> Iterator[str]:
    for need, count in sorted(left_out.items(), key=str):
        yield f"Left out: {count} {'test needs' if count == 1 else 'tests need'} {need}"

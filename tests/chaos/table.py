"""The table of `docs/reliability.md`: by what each broken protocol is caught, and when."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

_HEAD = (
    "| broken protocol | interleavings | the harness saw | after |",
    "| --- | --- | --- | --- |",
)
_ENDED = re.compile(
    r"(?P<name>.+?): caught by (?P<what>.+) after (?P<when>.+ s, \d+) flips, seed \d+"
)
_PLAYED = re.compile(r"(?P<name>.+?): (?:.*: after \d+ orders, (\d+) played, .*|(\d+) kills; .*)")


# The settings of the long harness, which has no database any more.
_OTHERS = ("DJANGO_SETTINGS_MODULE", "PREFS_CHAOS_DATABASE")
_TESTS = "tests/prefs/interleavings/test_broken_protocols.py"


def play_the_interleavings() -> subprocess.CompletedProcess[str]:
    """Play every broken protocol through the scenarios that it names, by pytest."""
    words = ["-q", "-rP", "-p", "no:cacheprovider", "-n", "0"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words, _TESTS],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={name: value for name, value in os.environ.items() if name not in _OTHERS},
        check=False,
    )


def table(names: Sequence[str], played: str, ended: Iterable[str]) -> list[str]:
    """The table in Markdown, from what pytest printed and the last line of each long run."""
    orders = _orders(names, played)
    caught = {found["name"]: found for line in ended if (found := _ENDED.fullmatch(line))}
    return [*_HEAD, *(_row(name, orders.get(name, "not caught"), caught) for name in names)]


def _row(name: str, orders: str, caught: Mapping[str, re.Match[str]]) -> str:
    found = caught.get(name)
    what, when = (found["what"], found["when"]) if found else ("nothing", "")
    return f"| {name} | {orders} | {what} | {when} |"


def _orders(names: Sequence[str], played: str) -> dict[str, str]:
    """After how many orders, or kills, each was caught: the fewest and the most."""
    counts: dict[str, list[int]] = defaultdict(list)
    unit = {}
    for line in played.splitlines():
        found = _PLAYED.fullmatch(line)
        if found and found["name"] in names:
            orders, kills = found.groups()[1:]
            counts[found["name"]].append(int(orders or kills))
            unit[found["name"]] = "" if orders else " kills"
    return {name: _from_to(sorted(set(some))) + unit[name] for name, some in counts.items()}


def _from_to(numbers: Sequence[int]) -> str:
    first, last = numbers[0], numbers[-1]
    return str(first) if first == last else f"{first} to {last}"

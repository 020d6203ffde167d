"""What a run prints at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.chaos.checker import Token
from tests.chaos.evidence import ENDED

if TYPE_CHECKING:
    from tests.chaos.conclusion import Totals

_LISTED = 20


def lines(totals: Totals) -> list[str]:
    """The findings, then the figures; the last line is the totals."""
    verdict = totals.verdict
    found = [
        *_faults("lost", verdict.lost),
        *_faults("from nowhere", verdict.from_nowhere),
        *_faults("not read", verdict.not_read),
        *totals.stories,
    ]
    texts = Counter(f"{each.what}: {each.detail}" for each in totals.complaints)
    found += [f"{n} times: {text}" for text, n in texts.most_common(_LISTED)]
    return [
        *found,
        f"seed {totals.seed}, {totals.seconds:.0f} s",
        f"in doubt {verdict.in_doubt}, undone on purpose {verdict.undone}, cancelled sessions"
        f" {totals.cancels}, runs done {totals.runs}, canary raised {totals.raises} times,"
        f" complaints {len(totals.complaints)}",
        f"{verdict.acknowledged} acknowledged writes, {totals.flips} flips, {totals.kills} kills,"
        f" {totals.crashes} immediate stops: {len(verdict.lost)} lost,"
        f" {len(verdict.from_nowhere)} from nowhere, {totals.missing_users} users missing,"
        f" {totals.differences} mismatches",
    ]


def _faults(what: str, faults: Sequence[tuple[int, Token]]) -> list[str]:
    return [
        f"{what}: token {token[1]} of client {token[0]} for user {place + 1}"
        for place, token in faults[:_LISTED]
    ]


def is_caught(totals: Totals) -> bool:
    """Whether the checker saw a fault. A process that ended by an error of its own is none."""
    return not totals.clean and not _was_not_played(totals)


def _was_not_played(totals: Totals) -> bool:
    return bool(totals.complaints) and totals.complaints[0].what == ENDED


def caught(name: str, totals: Totals) -> str:
    """One line of a run whose protocol was broken: by what it was caught first, and when."""
    if _was_not_played(totals):
        return f"{name}: NOT PLAYED, {totals.complaints[0].detail}, seed {totals.seed}"
    if totals.complaints:
        first = totals.complaints[0]
        after = f"{max(0.0, first.seconds - totals.began):.1f} s, {totals.flips} flips"
        return f"{name}: caught by {first.what} after {after}, seed {totals.seed}"
    if not totals.clean:
        return f"{name}: caught at the end, after {totals.seconds:.0f} s, seed {totals.seed}"
    return f"{name}: SURVIVED {totals.seconds:.0f} s, seed {totals.seed}"

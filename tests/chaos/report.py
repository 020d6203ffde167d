"""What a run prints at its end."""

from __future__ import annotations

from collections import Counter

from tests.chaos.checker import Token
from tests.chaos.conductor import Totals

_LISTED = 20


def lines(totals: Totals) -> list[str]:
    """The findings, then the figures; the last line is the totals."""
    verdict = totals.verdict
    found = [f"lost: {_name(*fault)}" for fault in verdict.lost[:_LISTED]]
    found += [f"from nowhere: {_name(*fault)}" for fault in verdict.from_nowhere[:_LISTED]]
    found += totals.stories
    found += [f"{n} times: {text}" for text, n in Counter(totals.complaints).most_common(_LISTED)]
    return [
        *found,
        f"seed {totals.seed}, {totals.seconds:.0f} s",
        f"in doubt {verdict.in_doubt}, undone on purpose {verdict.undone}, cancelled sessions"
        f" {totals.cancels}, runs done {totals.runs}, complaints {len(totals.complaints)}",
        f"{verdict.acknowledged} acknowledged writes, {totals.flips} flips, {totals.kills} kills,"
        f" {totals.crashes} immediate stops: {len(verdict.lost)} lost,"
        f" {len(verdict.from_nowhere)} from nowhere, {totals.missing_users} users missing,"
        f" {totals.differences} mismatches",
    ]


def _name(place: int, token: Token) -> str:
    return f"token {token[1]} of client {token[0]} for user {place + 1}"

"""The shortest history that shows a fault: of one user, and nothing that can be left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from tests.chaos.checker import Token, judge
from tests.chaos.ledger import HARNESS, Entry, Kind

Event = tuple[float, str]
_MOST = 40


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What a history shows of one token of one user.

    Attributes:
        kinds: which of the checker's demands it fails.
        since: when the token was last known to be right: acknowledged, or read.
        until: when it was first known to be wrong; inf where only the end shows it.
    """

    kinds: tuple[str, ...]
    since: float
    until: float


def fault(history: Sequence[Entry], place: int, token: Token, document: Any) -> Fault | None:
    """The fault that a history, in order, shows of a token in this user's document."""
    verdict = judge(history, {place: document})
    faults = ("lost", "from_nowhere", "not_read")
    kinds = tuple(kind for kind in faults if (place, token) in getattr(verdict, kind))
    if not kinds:
        return None
    until = min((e.seconds for e in _of(history, token, Kind.MISSED, place)), default=inf)
    return Fault(kinds=kinds, since=_last_seen(history, place, token, until), until=until)


def _of(history: Iterable[Entry], token: Token, kind: Kind, place: int | None) -> list[Entry]:
    return [
        e
        for e in history
        if (e.slot, e.token) == token and e.kind is kind and place in (None, e.place)
    ]


def _last_seen(history: Sequence[Entry], place: int, token: Token, until: float) -> float:
    """When the token was last acknowledged or shown; or meant, where it never came so far.

    A read that is on record showed the last token of each client that was acknowledged then.
    """
    slot, number = token
    seen = max((e.seconds for e in _of(history, token, Kind.INTENDED, None)), default=-inf)
    due = 0
    for entry in history:
        if entry.place != place or entry.seconds >= until:
            continue
        if entry.kind is Kind.ACKNOWLEDGED and entry.slot == slot:
            due = entry.token
            if due == number:
                seen = entry.seconds
        elif entry.kind is Kind.READ and due == number:
            seen = entry.seconds
    return seen


def shortest(
    history: Iterable[Entry], place: int, token: Token, document: Any
) -> tuple[list[Entry], Fault | None]:
    """The fewest records that show the same fault of a token, and that fault.

    Records of other users are among them only where they are of the same token. Each one that
    is left is needed: without it the checker finds nothing, or knows less of when it happened.
    """
    kept = sorted(
        (e for e in history if e.place == place or (e.slot, e.token) == token),
        key=lambda entry: entry.seconds,
    )
    shown = fault(kept, place, token, document)
    size = max(1, len(kept) // 2)
    while True:
        before = len(kept)
        for begin in reversed(range(0, len(kept), size)):
            fewer = kept[:begin] + kept[begin + size :]
            if fault(fewer, place, token, document) == shown:
                kept = fewer
        if size == 1 and len(kept) == before:
            return kept, shown
        size = max(1, size // 2)


def story(
    history: Iterable[Entry], place: int, token: Token, document: Any, others: Iterable[Event]
) -> list[str]:
    """The one user and the fewest events that show a fault, in lines.

    `others` are what the harness did, transitions and runs: of those it tells what came between
    the last moment at which all was well and the first at which it was not.
    """
    entries, shown = shortest(history, place, token, document)
    if shown is None:
        return ["nothing of it is in the ledgers"]
    events = [(entry.seconds, _sentence(entry, place)) for entry in entries]
    begin = min((seconds for seconds, _ in events), default=0.0)
    events += [event for event in others if shown.since <= event[0] <= shown.until]
    told = _shortened([f"{seconds - begin:9.3f} s  {what}" for seconds, what in sorted(events)])
    there = "there" if "from_nowhere" in shown.kinds else "not there"
    end = [] if shown.kinds == ("not_read",) else [f"{'the end':>11}  what it wrote is {there}"]
    return [*told, *end]


def parting(
    history: Iterable[Entry], place: int | None, since: float, until: float, others: Iterable[Event]
) -> list[str]:
    """What happened while the stores of a user parted, in lines: writes to them, and others."""
    kinds = (Kind.INTENDED, Kind.ACKNOWLEDGED, Kind.UNDONE)
    mine = [e for e in history if e.place == place and e.kind in kinds]
    events = [*((e.seconds, _sentence(e, e.place)) for e in mine), *others]
    between = sorted(event for event in events if since <= event[0] <= until)
    return _shortened([f"{seconds - since:9.3f} s  {what}" for seconds, what in between])


def _shortened(told: list[str]) -> list[str]:
    if len(told) <= _MOST:
        return told
    left_out = f"{'':11}  … {len(told) - _MOST} more"
    return [*told[: _MOST // 2], left_out, *told[-_MOST // 2 :]]


def _sentence(entry: Entry, place: int) -> str:
    user = "" if entry.place == place else f" for user {entry.place + 1}"
    match entry.kind:
        case Kind.READ:
            return f"client {entry.reader} reads it"
        case Kind.MISSED:
            reader = "the harness" if entry.reader == HARNESS else f"client {entry.reader}"
            return f"{reader} reads, and what token {entry.token} wrote is not there"
    return f"client {entry.slot}: token {entry.token} {entry.kind.name.lower()}{user}"

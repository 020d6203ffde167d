"""What is asked once everybody is gone: the figures, the verdict, and how a fault came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from django.db import connection

from tests.chaos import operators
from tests.chaos.board import Board
from tests.chaos.checker import Verdict, judge
from tests.chaos.evidence import Complaint, Complaints, Contradiction, Differing, recorded
from tests.chaos.ledger import entries
from tests.chaos.lingering import commit_prepared, prepared
from tests.chaos.processes import documents
from tests.chaos.replay import Event, parting, story

_TOLD = 3


@dataclass(kw_only=True)
class Totals:
    """What a run was."""

    seed: int
    seconds: float = 0.0
    kills: int = 0
    crashes: int = 0
    cancels: int = 0
    flips: int = 0
    raises: int = 0
    runs: int = 0
    verdict: Verdict = field(default_factory=Verdict)
    missing_users: int = 0
    differences: int = 0
    complaints: list[Complaint] = field(default_factory=list)
    began: float = 0.0
    stories: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        quiet = not self.complaints and not self.missing_users and not self.differences
        return quiet and self.verdict.clean


def conclude(totals: Totals, folder: Path, board: Board, events: Sequence[Event]) -> None:
    """Bring the site to rest and complete the totals; `events` are what the harness did."""
    for name in prepared():
        commit_prepared(name)
    operators.settle()
    totals.differences = operators.differences()
    totals.flips, totals.runs = operators.flips(), operators.runs()
    totals.raises = operators.raises()
    found = documents()
    totals.verdict = judge(entries(folder), found, gone=board.gone())
    places = range(board.used)
    totals.missing_users = sum(board.is_alive(p) and p not in found for p in places)
    contradicted = recorded()
    # Those that somebody saw while it went on are among the complaints already.
    known = {*Complaints(folder).all(), *(each.complaint for each in contradicted)}
    totals.complaints = sorted(known)
    all_events = [*events, *operators.recorded()]
    totals.stories = [
        *_faults(totals.verdict, folder, found, all_events),
        *_partings(contradicted, folder, all_events),
    ]
    connection.close()


def _faults(
    verdict: Verdict, folder: Path, found: Mapping[int, object], events: Sequence[Event]
) -> list[str]:
    told = []
    for place, token in verdict.faults[:_TOLD]:
        told.append(f"user {place + 1}, token {token[1]} of client {token[0]}:")
        told += story(entries(folder), place, token, found.get(place), events)
    return told


def _partings(
    contradicted: Sequence[Contradiction], folder: Path, events: Sequence[Event]
) -> list[str]:
    told = []
    for each in contradicted[:_TOLD]:
        # The earlier pass may have come to the user when it began.
        since, until = each.equal.began, each.found.ended
        place = next(iter(Differing(folder).between(each.found.began, until)), None)
        whom = "some users" if place is None else f"user {place + 1}"
        told.append(f"the stores of {whom} parted:")
        told += parting(entries(folder), place, since, until, events)
    return told

"""What shows, while a run goes on and after it, that something is wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

from prefs.engine.states import State
from prefs.models import Run, Transition, UserPreferences
from tests.chaos.board import Board
from tests.chaos.checker import judge
from tests.chaos.ledger import HARNESS, Kind, Ledger, entries

_MIRRORED = (State.DUAL_WRITE, State.READ_CUTOVER)
_LISTED = 5
DEADLOCK = "a deadlock"


# What is complained of where a process ended by an error: of ours, or of a protocol that was broken
# so that it cannot be played.
ENDED = "a process that ended"


@dataclass(frozen=True, order=True)
class Complaint:
    """What somebody met whom nobody should meet it: when, in a few words, and in full."""

    seconds: float
    what: str
    detail: str


class Complaints:
    """The complaints of all processes of a run, in a file that is only added to."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "complaints"

    def add(self, what: str, detail: str, seconds: float | None = None) -> None:
        """Add one, of now where no time is given."""
        moment = time.time() if seconds is None else seconds
        with self._path.open("a") as file:
            file.write(json.dumps([moment, what, detail]) + "\n")

    def any(self) -> bool:
        """Whether there is one."""
        return self._path.exists()

    def all(self) -> list[Complaint]:
        """All of them, the first first."""
        if not self.any():
            return []
        return sorted(Complaint(*json.loads(each)) for each in self._path.read_text().splitlines())


class Differing:
    """Whom verifications found to differ, rightly or not: places, in a file that is added to."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "differing"

    def add(self, keys: Sequence[int]) -> None:
        """Add the users of a batch, or some of them."""
        if keys:
            with self._path.open("a") as file:
                file.write(json.dumps([time.time(), [key - 1 for key in keys[:_LISTED]]]) + "\n")

    def between(self, since: float, until: float) -> list[int]:
        """Those who were added in that time."""
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        noted = [json.loads(line) for line in lines]
        return [place for seconds, some in noted if since <= seconds <= until for place in some]


@dataclass(frozen=True, kw_only=True)
class Period:
    """From the moment when a mirrored state had reached everyone to the next transition."""

    begins: float
    ends: float


@dataclass(frozen=True, kw_only=True)
class Pass:
    """A catch-up or a verification of all users that came to its end."""

    name: str
    began: float
    ended: float
    differing: int
    repairs: bool

    @property
    def leaves_equal(self) -> bool:
        """Whether both stores of every user are equal after it, as long as nothing is flipped."""
        return self.repairs or not self.differing


@dataclass(frozen=True, kw_only=True)
class Contradiction:
    """A pass that found users to differ whose stores an earlier one had left equal."""

    equal: Pass
    found: Pass

    @property
    def complaint(self) -> Complaint:
        detail = f"{self.found.name} found {self.found.differing} users, equal by {self.equal.name}"
        return Complaint(self.found.ended, "stores that differ", detail)


def contradictions(periods: Iterable[Period], passes: Iterable[Pass]) -> Iterator[Contradiction]:
    """Passes that found users to differ after both stores had been made or found equal.

    Within a period every write goes to both stores, so that cannot be.
    """
    known = sorted(passes, key=lambda each: each.ended)
    for period in periods:
        inside = [p for p in known if period.begins < p.began and p.ended < period.ends]
        for found in inside:
            equal = [p for p in inside if p.leaves_equal and p.ended < found.began]
            if equal and found.differing:
                yield Contradiction(equal=equal[-1], found=found)


def recorded() -> list[Contradiction]:
    """The contradictions among the transitions and runs that the database has on record."""
    taken = list(Transition.objects.order_by("pk"))
    following = [each.taken_at.timestamp() for each in taken[1:]]
    periods = [
        Period(begins=each.settled_at.timestamp(), ends=ends)
        for each, ends in zip(taken, [*following, inf], strict=False)
        if each.to_state in _MIRRORED and each.settled_at
    ]
    chosen = (Run.Phase.CATCH_UP, Run.Phase.COMPARE)
    passes = [
        Pass(
            name=str(run),
            began=run.phase_began_at.timestamp(),
            ended=run.finished_at.timestamp(),
            differing=run.differing,
            repairs=run.phase == Run.Phase.CATCH_UP,
        )
        for run in Run.objects.filter(status=Run.Status.DONE, phase__in=chosen)
        if run.finished_at
    ]
    return list(contradictions(periods, passes))


def look(folder: Path, board: Board) -> None:
    """Judge what there is so far, beside everybody, and complain of what is wrong.

    The documents are read in one statement, so what was acknowledged before must be in them,
    and what is in them was meant before it ended.
    """
    complaints = Complaints(folder)
    before, began = list(entries(folder)), time.time()
    alive = [place for place in range(board.used) if board.is_alive(place)]
    found = UserPreferences.objects.documents(range(1, board.used + 1))
    documents = {key - 1: document for key, document in found.items()}
    meanwhile = (entry for entry in entries(folder) if entry.kind is Kind.INTENDED)
    verdict = judge([*meanwhile, *before], documents, gone=board.gone())
    ledger = Ledger(folder, HARNESS)
    for place, token in verdict.lost:
        ledger.read(began, place, [token])
    for what, faults in (
        ("a lost write", verdict.lost),
        ("a token from nowhere", verdict.from_nowhere),
    ):
        if faults:
            listed = ", ".join(f"{token} of user {p + 1}" for p, token in faults[:_LISTED])
            complaints.add(what, f"{len(faults)}: {listed}")
    gone = [p for p in alive if p not in documents and board.is_alive(p)]
    if gone:
        complaints.add("a missing user", f"{len(gone)}: {gone[0] + 1}")
    for each in (contradiction.complaint for contradiction in recorded()):
        complaints.add(each.what, each.detail, each.seconds)

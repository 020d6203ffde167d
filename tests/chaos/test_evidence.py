"""What is noticed while a run goes on."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from pathlib import Path

import pytest

from tests.chaos.evidence import Complaints, Differing, Pass, Period, contradictions

MIRRORED = Period(begins=10.0, ends=20.0)


def verified(began: float, ended: float, differing: int) -> Pass:
    return Pass(name="a pass", began=began, ended=ended, differing=differing, repairs=False)


def caught_up(began: float, ended: float, differing: int = 3) -> Pass:
    return Pass(name="a pass", began=began, ended=ended, differing=differing, repairs=True)


@pytest.mark.parametrize("equal", [caught_up(11, 12), verified(11, 12, differing=0)])
@pytest.mark.parametrize("later", [caught_up(13, 14), verified(13, 14, differing=1)])
def test_who_was_equal_in_a_mirrored_state_and_then_differs_contradicts(
    equal: Pass, later: Pass
) -> None:
    [found] = contradictions([MIRRORED], [later, equal])
    assert (found.equal, found.found) == (equal, later)
    assert (found.complaint.seconds, found.complaint.what) == (14, "stores that differ")


@pytest.mark.parametrize(
    "passes",
    [
        [caught_up(11, 12), verified(13, 14, differing=0)],
        [verified(11, 12, differing=2), caught_up(13, 14)],
        # It may have come to the user before the catch-up did.
        [caught_up(11, 13), verified(12, 14, differing=2)],
        # The flip had not settled: somebody still wrote one store.
        [caught_up(9, 12), verified(13, 14, differing=2)],
        # After the next flip one store alone may be written.
        [caught_up(11, 12), verified(13, 21, differing=2)],
    ],
)
def test_what_may_be_contradicts_nothing(passes: Sequence[Pass]) -> None:
    assert list(contradictions([MIRRORED], passes)) == []


def test_a_period_that_has_not_ended_is_looked_at_too() -> None:
    passes = [caught_up(11, 12), verified(13, 14, differing=2)]
    assert list(contradictions([Period(begins=10, ends=inf)], passes))


def test_complaints_come_back_in_the_order_of_their_times(tmp_path: Path) -> None:
    complaints = Complaints(tmp_path)
    assert (complaints.any(), complaints.all()) == (False, [])
    complaints.add("later", "of now")
    complaints.add("first", "of a run", seconds=5.0)
    assert complaints.any()
    assert [each.what for each in complaints.all()] == ["first", "later"]


def test_who_differs_is_noted_with_the_time(tmp_path: Path) -> None:
    differing = Differing(tmp_path)
    assert differing.between(0, inf) == []
    differing.add([])
    differing.add([5, 9])
    assert (differing.between(0, inf), differing.between(0, 1)) == ([4, 8], [])

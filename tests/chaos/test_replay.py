"""A fault is told by the fewest events that show it."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from tests.chaos.ledger import Entry, Kind
from tests.chaos.replay import fault, parting, shortest, story

USER, OTHER, SLOT, READER = 4, 5, 2, 6


def entry(seconds: float, kind: Kind, token: int = 0, slot: int = SLOT, place: int = USER) -> Entry:
    return Entry(seconds, kind, slot, place, token, READER)


def written(token: int, seconds: float, slot: int = SLOT, place: int = USER) -> list[Entry]:
    return [
        entry(seconds, Kind.INTENDED, token, slot, place),
        entry(seconds + 0.5, Kind.ACKNOWLEDGED, token, slot, place),
    ]


def holding(*tokens: int) -> dict[str, Any]:
    return {f"client {SLOT}": {str(token): 1 for token in tokens}}


# Token 1 is lost between the read at 4 s and the one at 6 s; all the rest says nothing of it.
NOISE = [
    *written(8, 0.0, slot=READER),
    *written(9, 2.5, place=OTHER),
    entry(3.0, Kind.READ),
    entry(3.5, Kind.READ, place=OTHER),
    *written(2, 8.0),
    entry(9.0, Kind.READ),
    entry(9.5, Kind.MISSED, 1),
]
KEPT = [
    entry(1.5, Kind.ACKNOWLEDGED, 1),
    entry(4.0, Kind.READ),
    entry(6.0, Kind.MISSED, 1),
]
HISTORY = [*NOISE, *KEPT, entry(1.0, Kind.INTENDED, 1)]
LOST = holding(2)


def test_a_lost_token_is_told_by_its_acknowledgement_and_the_reads_around_its_loss() -> None:
    found, shown = shortest(HISTORY, USER, (SLOT, 1), LOST)
    assert found == KEPT
    assert shown is not None
    assert (shown.since, shown.until) == (4.0, 6.0)
    assert set(shown.kinds) == {"lost", "not_read"}


@pytest.mark.parametrize("gone", KEPT)
def test_without_any_of_them_another_fault_is_shown_or_none(gone: Entry) -> None:
    whole = fault(KEPT, USER, (SLOT, 1), LOST)
    assert fault([each for each in KEPT if each != gone], USER, (SLOT, 1), LOST) != whole


def test_a_read_shows_the_last_token_of_a_client_and_no_earlier_one() -> None:
    found, shown = shortest(
        [*written(1, 1.0), *written(3, 2.0), entry(4.0, Kind.READ)], USER, (SLOT, 1), holding(3)
    )
    assert found == [entry(1.5, Kind.ACKNOWLEDGED, 1)]
    assert shown is not None
    assert (shown.since, shown.until) == (1.5, inf)


def test_a_token_that_is_there_in_the_end_and_was_not_read_is_told_without_the_end() -> None:
    told = story(HISTORY, USER, (SLOT, 1), holding(1, 2), [])
    assert told[-1].endswith("client 6 reads, and what token 1 wrote is not there")


def test_a_token_from_nowhere_is_told_with_whose_it_was() -> None:
    found, _ = shortest([*NOISE, *written(7, 1.0, place=OTHER)], USER, (SLOT, 7), holding(1, 2, 7))
    assert found == [entry(1.0, Kind.INTENDED, 7, place=OTHER)]


def test_of_what_the_harness_did_only_that_is_told_which_came_between() -> None:
    others = [(3.9, "too early"), (5.0, "Flipper killed"), (5.5, "a flip"), (6.1, "too late")]
    told = story(HISTORY, USER, (SLOT, 1), LOST, others)
    assert [line.split("  ")[-1] for line in told] == [
        "client 2: token 1 acknowledged",
        "client 6 reads it",
        "Flipper killed",
        "a flip",
        "client 6 reads, and what token 1 wrote is not there",
        "what it wrote is not there",
    ]


def test_a_history_in_which_nothing_is_wrong_shows_no_fault() -> None:
    assert fault(written(1, 1.0), USER, (SLOT, 1), holding(1)) is None


def test_stores_that_parted_are_told_by_what_their_user_was_told_meanwhile() -> None:
    others = [(3.9, "too early"), (8.2, "Flipper killed"), (9.1, "too late")]
    assert parting(HISTORY, USER, 4.0, 9.0, others) == [
        "    4.000 s  client 2: token 2 intended",
        "    4.200 s  Flipper killed",
        "    4.500 s  client 2: token 2 acknowledged",
    ]

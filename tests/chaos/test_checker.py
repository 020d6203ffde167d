"""The checker sees what it must: it is shown histories that are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.chaos.board import Board
from tests.chaos.checker import judge, story
from tests.chaos.ledger import Entry, Kind, Ledger, entries

USER, OTHER, SLOT = 4, 5, 2


def written(token: int, kind: Kind = Kind.ACKNOWLEDGED) -> list[Entry]:
    return [Entry(1.0, Kind.INTENDED, SLOT, USER, token), Entry(2.0, kind, SLOT, USER, token)]


def holding(*tokens: int) -> dict[str, Any]:
    return {"theme": "dark", f"client {SLOT}": {str(token): 1 for token in tokens}}


def test_a_history_whose_tokens_are_there_is_clean() -> None:
    verdict = judge([*written(1), *written(2)], {USER: holding(1, 2)})
    assert (verdict.clean, verdict.acknowledged) == (True, 2)


def test_an_acknowledged_token_that_is_not_there_is_lost() -> None:
    verdict = judge([*written(1), *written(2)], {USER: holding(2)})
    assert verdict.lost == [(USER, (SLOT, 1))]


@pytest.mark.parametrize("document", [holding(), holding(7)])
def test_a_token_in_doubt_may_be_there_or_not(document: dict[str, Any]) -> None:
    verdict = judge([Entry(1.0, Kind.INTENDED, SLOT, USER, 7)], {USER: document})
    assert (verdict.clean, verdict.in_doubt) == (True, 1)


def test_a_token_that_nobody_meant_is_from_nowhere() -> None:
    assert judge([], {USER: holding(9)}).from_nowhere == [(USER, (SLOT, 9))]


def test_a_token_that_was_undone_is_from_nowhere() -> None:
    verdict = judge(written(1, Kind.UNDONE), {USER: holding(1)})
    assert verdict.from_nowhere == [(USER, (SLOT, 1))]


def test_a_token_in_the_document_of_another_is_there_twice() -> None:
    verdict = judge(written(1), {USER: holding(1), OTHER: holding(1)})
    assert verdict.from_nowhere == [(OTHER, (SLOT, 1))]


def test_the_tokens_of_a_user_who_was_deleted_are_not_asked_for() -> None:
    assert judge(written(1), {}).clean


@pytest.mark.parametrize("document", [None, [], "x", {f"client {SLOT}": "gone"}])
def test_a_document_that_is_no_object_any_more_has_lost_its_tokens(document: object) -> None:
    assert judge(written(1), {USER: document}).lost == [(USER, (SLOT, 1))]


def test_a_fault_is_told_with_what_was_around_it_and_nothing_of_other_users() -> None:
    elsewhere = Entry(1.5, Kind.ACKNOWLEDGED, SLOT, OTHER, 8)
    late = Entry(900.0, Kind.ACKNOWLEDGED, SLOT, USER, 3)
    told = story([*written(1), elsewhere, late], USER, (SLOT, 1), [(1.2, "Flipper killed")])
    assert [line.split("  ")[-1] for line in told] == [
        "client 2 intended 1",
        "Flipper killed",
        "client 2 acknowledged 1",
    ]


def test_a_ledger_gives_back_what_was_written_and_goes_on_after_a_new_start(tmp_path: Path) -> None:
    Ledger(tmp_path, SLOT).add(Kind.INTENDED, USER, 1)
    Ledger(tmp_path, SLOT).add(Kind.ACKNOWLEDGED, USER, 1)
    found = [(e.kind, e.slot, e.place, e.token) for e in entries(tmp_path)]
    assert found == [(Kind.INTENDED, SLOT, USER, 1), (Kind.ACKNOWLEDGED, SLOT, USER, 1)]


def test_the_board_outlives_whoever_wrote_on_it(tmp_path: Path) -> None:
    board = Board(tmp_path / "board", 10)
    board.acknowledged(SLOT, USER, board.next_token(SLOT))
    board.set_alive(USER, alive=True)
    again = Board(tmp_path / "board", 10)
    assert again.seen_by_all(USER)[SLOT] == 1
    assert again.next_token(SLOT) == 2
    assert (again.is_alive(USER), again.is_alive(OTHER)) == (True, False)

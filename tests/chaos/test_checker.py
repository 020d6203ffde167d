"""The checker sees what it must: it is shown histories that are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.chaos.board import Board
from tests.chaos.checker import LEAVES, judge, leaf
from tests.chaos.ledger import Entry, Kind, Ledger, entries

USER, OTHER, SLOT, WRITES_LEAF = 4, 5, 2, 3


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


def test_a_token_that_a_later_read_did_not_show_is_told_also_where_it_is_there_in_the_end() -> None:
    missed = Entry(3.0, Kind.MISSED, SLOT, USER, 1, reader=6)
    verdict = judge([*written(1), missed], {USER: holding(1)})
    assert (verdict.not_read, verdict.lost) == ([(USER, (SLOT, 1))], [])


def test_a_read_that_showed_all_that_was_due_is_no_token() -> None:
    read = Entry(3.0, Kind.READ, SLOT, USER, 0, reader=SLOT)
    verdict = judge([*written(1), read], {USER: holding(1)})
    assert (verdict.clean, verdict.acknowledged) == (True, 1)


def with_leaf(token: int, value: object) -> dict[str, Any]:
    leaves = {} if value is None else {"theme": value}
    return {**leaves, f"client {WRITES_LEAF}": {str(token): 1}}


def tokens_with_leaf(*tokens: int, kind: Kind = Kind.ACKNOWLEDGED) -> list[Entry]:
    return [Entry(float(token), kind, WRITES_LEAF, USER, token) for token in tokens]


def test_a_leaf_that_is_not_what_the_last_token_made_it_is_a_lost_write() -> None:
    history = tokens_with_leaf(1)
    assert judge(history, {USER: with_leaf(1, leaf(WRITES_LEAF, 1))}).clean
    for value in (leaf(WRITES_LEAF, 2), None):
        assert judge(history, {USER: with_leaf(1, value)}).lost == [(USER, (WRITES_LEAF, 1))]


def test_a_token_that_is_lost_with_its_leaf_is_lost_once() -> None:
    assert judge(tokens_with_leaf(1), {USER: {}}).lost == [(USER, (WRITES_LEAF, 1))]


def test_a_leaf_that_was_removed_and_is_still_there_is_a_lost_write() -> None:
    removes = len(LEAVES[WRITES_LEAF][1])
    assert leaf(WRITES_LEAF, removes) is None
    history = tokens_with_leaf(removes)
    assert judge(history, {USER: with_leaf(removes, None)}).clean
    assert judge(history, {USER: with_leaf(removes, "dark")}).lost


def test_a_leaf_may_be_what_a_token_in_doubt_made_it() -> None:
    history = [*tokens_with_leaf(1), *tokens_with_leaf(2, kind=Kind.INTENDED)]
    assert judge(history, {USER: with_leaf(1, leaf(WRITES_LEAF, 2))}).clean


def test_a_ledger_says_of_a_read_whether_it_showed_what_was_due(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, SLOT)
    ledger.read(5.0, USER, [])
    ledger.read(6.0, USER, [(0, 3), (1, 4)])
    assert list(entries(tmp_path)) == [
        Entry(5.0, Kind.READ, SLOT, USER, 0, reader=SLOT),
        Entry(6.0, Kind.MISSED, 0, USER, 3, reader=SLOT),
        Entry(6.0, Kind.MISSED, 1, USER, 4, reader=SLOT),
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


def test_to_a_user_who_was_deleted_and_made_anew_nothing_is_due(tmp_path: Path) -> None:
    board = Board(tmp_path / "board", 10)
    board.used = 10
    board.set_alive(USER, alive=True)
    found = {USER: holding(2)}
    history = [*written(1), *written(2)]
    assert judge(history, found, gone=board.gone()).lost == [(USER, (SLOT, 1))]
    board.set_alive(USER, alive=False)
    assert judge(history, found, gone=board.gone()).clean


def test_nor_may_such_a_user_have_what_nobody_meant() -> None:
    assert judge(written(1), {USER: holding(2)}, gone={USER}).from_nowhere == [(USER, (SLOT, 2))]

"""The table that a run of all broken protocols prints is read off what the runs said."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.chaos.evidence import ENDED, Complaint
from tests.chaos.report import caught, is_caught
from tests.chaos.table import table

PLAYED = """
_____ test_a_broken_protocol_is_caught[no drain-way in expanded, mirror equal: raw and forward] ____
----------------------------- Captured stdout call -----------------------------
no drain: way in expanded, mirror equal: raw and forward: after 6 orders, 5 played, 1 of them bl
  raw forward raw
  the stores of [1] differ
no drain: way in mirror_off, mirror equal: merge and back: after 4 orders, 4 played, 0 of them b
a cursor committed apart: 14 kills; user 1 was not copied
"""


def test_each_protocol_has_a_row_also_one_that_survived() -> None:
    ended = [
        "no drain: caught by a flip that did not wait after 0.8 s, 1 flips, seed 41",
        "a cursor committed apart: SURVIVED 180 s, seed 41",
    ]
    assert table(["no drain", "a cursor committed apart", "a new one"], PLAYED, ended) == [
        "| broken protocol | interleavings | the harness saw | after |",
        "| --- | --- | --- | --- |",
        "| no drain | 4 to 5 | a flip that did not wait | 0.8 s, 1 |",
        "| a cursor committed apart | 14 kills | nothing |  |",
        "| a new one | not caught | nothing |  |",
    ]


def test_a_process_that_ended_by_an_error_has_caught_nothing() -> None:
    ended = Complaint(1.0, ENDED, "ValueError: too many values")
    seen = Complaint(2.0, "a lost write", "")
    totals: Any = SimpleNamespace(seed=7, clean=False, complaints=[ended, seen])
    assert not is_caught(totals)
    assert caught("x", totals) == "x: NOT PLAYED, ValueError: too many values, seed 7"
    first: Any = SimpleNamespace(seed=7, clean=False, complaints=[seen, ended])
    assert is_caught(first)

"""The record of a client notices what a database lost or made up."""

from pathlib import Path
from typing import Any

import pytest

from prefs.rehearsal.record import Record, merge_patch


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": "b"}, ["c"], ["c"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_oracle_merges_as_rfc_7396_does(target: Any, patch: Any, expected: Any) -> None:
    assert merge_patch(target, patch) == expected


def test_a_counter_that_is_what_was_acknowledged_is_not_stale() -> None:
    record = Record(client=1, counters={"7": [3]})
    record.saw_counter("7", {"rehearsal": {"client_1": 3, "client_2": 9}})
    assert record.stale == []


@pytest.mark.parametrize("document", [{"rehearsal": {"client_1": 2}}, {}, None, [1]])
def test_a_counter_older_than_the_acknowledged_one_is_stale(document: Any) -> None:
    record = Record(client=1, counters={"7": [3]})
    record.saw_counter("7", document)
    assert len(record.stale) == 1
    assert "user 7" in record.stale[0]


def test_after_a_failed_write_either_value_is_right_and_a_read_settles_which() -> None:
    record = Record(client=1, counters={"7": [3, 4]})
    record.saw_counter("7", {"rehearsal": {"client_1": 4}})
    assert record.stale == []
    record.saw_counter("7", {"rehearsal": {"client_1": 3}})
    assert len(record.stale) == 1


def test_an_owned_document_with_one_leaf_changed_is_stale() -> None:
    record = Record(client=1)
    record.saw_document("7", {"theme": "dark"})
    record.saw_document("7", {"theme": "dark"})
    assert record.stale == []
    record.saw_document("7", {"theme": "light"})
    assert len(record.stale) == 1


def test_a_record_survives_being_saved(tmp_path: Path) -> None:
    record = Record(client=2, counters={"7": [3]}, requests=[(1.0, 2.0, True)], stale=["x"])
    record.save(tmp_path / "2.record")
    loaded = Record.load(tmp_path / "2.record")
    assert (loaded.client, loaded.counters, loaded.stale) == (2, {"7": [3]}, ["x"])
    assert [tuple(request) for request in loaded.requests] == record.requests

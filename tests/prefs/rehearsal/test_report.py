"""The report says what was measured, and calls nothing clean that is not."""

import tomllib
from dataclasses import replace
from typing import Any

import pytest

from prefs import mapping
from prefs.rehearsal import recorded
from prefs.rehearsal.record import Record
from prefs.rehearsal.report import Phase, Report, percentile, phases_of
from tests.support.scratch import ROOT

RECORD = Record(client=0, requests=[(1.0, 5.0, True), (1.5, 7.0, False), (2.5, 9.0, True)])
CLEAN = Report(
    users=10,
    seconds=3.0,
    phases=(Phase(name="expanded", began=1.0, ended=2.0),),
    records=(RECORD,),
    lost=[],
    mismatches=0,
    interrupted=1,
    blobs_changed=0,
    column_changed=False,
    quarantined=4,
    database=None,
)


def test_a_request_belongs_to_the_state_it_began_in() -> None:
    [first, second] = phases_of(
        [Phase(name="a", began=1.0, ended=2.0), Phase(name="b", began=2.0, ended=3.0)], [RECORD]
    )
    assert (first.requests, first.failed, first.p50_ms, first.p99_ms) == (2, 1, 5.0, 7.0)
    assert (second.requests, second.failed, second.p50_ms) == (1, 0, 9.0)


def test_percentiles_are_of_the_nearest_rank() -> None:
    values = [float(n) for n in range(1, 101)]
    assert percentile(values, 0.50) == 50.0
    assert percentile(values, 0.99) == 99.0
    assert percentile([], 0.5) is None


@pytest.mark.parametrize(
    "flaw",
    [
        {"lost": ["user 1"]},
        {"mismatches": 1},
        {"blobs_changed": 1},
        {"column_changed": True},
        {"records": ()},
        {"records": (replace(RECORD, errors=["boom"]),)},
    ],
)
def test_one_flaw_is_enough_not_to_be_clean(flaw: dict[str, Any]) -> None:
    assert CLEAN.clean
    assert not replace(CLEAN, **flaw).clean


def test_the_json_has_the_keys_that_are_promised() -> None:
    promised = {
        "users",
        "requests",
        "failed_requests",
        "lost_writes",
        "mismatches",
        "blobs_changed",
        "quarantined",
        "phases",
    }
    figures = CLEAN.figures()
    assert promised <= figures.keys()
    assert {"name", "seconds", "requests", "p50_ms", "p99_ms"} <= figures["phases"][0].keys()


def test_the_version_on_record_is_that_of_the_release() -> None:
    released = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert recorded.described(CLEAN)["version"] == released


def test_the_fingerprint_on_record_is_another_once_the_mapping_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = recorded.described(CLEAN)["fingerprint"]
    assert recorded.described(CLEAN)["fingerprint"] == before
    monkeypatch.setattr(mapping, "LEAVES", mapping.LEAVES[:-1])
    assert recorded.described(CLEAN)["fingerprint"] != before

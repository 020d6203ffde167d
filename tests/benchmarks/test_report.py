"""The report and results.json, from figures that were made up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from benchmarks.ratios import RATIOS
from benchmarks.raw import Measured, Raw, load, save
from benchmarks.report import document, results
from benchmarks.sections import Section
from benchmarks.series import Samples, Series


def measured(*series: Series, at: str = "2026-01-01 10:00 UTC", command: str = "run") -> Measured:
    return Measured(at=at, command=command, users=1_000, rounds=3, series=series)


def series(name: str, *values: float, unit: str = "s") -> Series:
    return Series(name=name, unit=unit, values=values)


def raw(**sections: Measured) -> Raw:
    return Raw(machine={"CPU": "a quick one", "cores": "2"}, sections=sections)


BACKFILL = measured(
    series("one-shot statement", 10.0, 9.0, 30.0),
    series("backfill, 1 worker", 11.0, 12.0, 5.0),
    series("backfill, 2 workers", 8.0, 8.0, 8.0),
)
LIVE = measured(
    series("live traffic alone", 2.0, unit="p99 ms"),
    series("live traffic beside a backfill", 4.0, unit="p99 ms"),
    series("live traffic beside a backfill", 7.0, 20.0, 8.0, unit="longest lock wait ms"),
)
CALLS = measured(
    series("`values_list` of the blob", 1.0, unit="ms"),
    series("`document`, TABLES_MIRRORED", 0.7, unit="ms"),
    series("`document`, TABLES", 0.8, unit="ms"),
)
AUDIENCE = measured(
    series("1 % on: `audience`, TABLES_MIRRORED", 1.0),
    series("1 % on: ORM, key lookup", 50.0),
    series("1 % on: ORM, contains", 40.0),
)


def values(found: Raw) -> dict[str, float | None]:
    return {entry["name"]: entry["value"] for entry in json.loads(results(found))["ratios"]}


def test_there_is_one_entry_for_each_row_whatever_was_measured() -> None:
    for found in (raw(), raw(backfill=BACKFILL)):
        entries = json.loads(results(found))["ratios"]
        assert [(e["name"], e["limit"]) for e in entries] == [(r.name, r.limit) for r in RATIOS]
        assert all(e.keys() == {"name", "value", "limit"} for e in entries)


def test_names_of_rows_are_unique() -> None:
    assert len({row.name for row in RATIOS}) == len(RATIOS) == 29


def test_a_ratio_is_the_median_of_one_over_the_median_of_the_other() -> None:
    found = values(raw(backfill=BACKFILL))
    assert found["backfill, 1 worker / one-shot statement"] == 1.1
    assert found["backfill, 2 workers / one-shot statement"] == 0.8


def test_what_was_not_measured_has_no_value() -> None:
    found = values(raw(backfill=BACKFILL))
    assert found["backfill / chunked `bulk_create`"] is None
    assert found["full verification (2 workers) / one-shot statement"] is None


def test_a_wait_is_the_longest_of_all_rounds() -> None:
    found = values(raw(live=LIVE))
    assert found["longest lock wait a live statement saw because of us"] == 20.0


def test_units_are_kept_apart() -> None:
    name = "p99 of live traffic during a backfill that runs at half its full rate or more / without"
    assert values(raw(live=LIVE))[name] == 2.0


def test_of_several_routes_the_slower_counts_and_of_several_queries_the_faster() -> None:
    found = values(raw(calls=CALLS, audience=AUDIENCE))
    assert found["`document` after cutover / `values_list` of the blob by the ORM"] == 0.8
    assert found["`audience`, 1 % of 1M users on, after cutover / on the blob"] == 0.025


def test_the_report_says_which_limits_are_met() -> None:
    text = document(raw(backfill=BACKFILL, live=LIVE), {})
    assert "| backfill, 1 worker / one-shot statement | 1.1 | 1.15 | met |" in text
    assert "| backfill, 2 workers / one-shot statement | 0.8 | 0.75 | **not met** |" in text
    assert "| backfill / chunked `bulk_create` | not measured | 0.25 |  |" in text
    wait = "longest lock wait a live statement saw because of us"
    assert f"| {wait} | 20 ms | 50 ms | met |" in text


def test_a_limit_is_met_by_what_is_just_as_much() -> None:
    at_limit = measured(series("one-shot statement", 1.0), series("backfill, 2 workers", 0.75))
    assert "| 0.75 | 0.75 | met |" in document(raw(backfill=at_limit), {})


def test_the_ratios_come_before_the_figures_and_those_in_the_order_of_the_sections() -> None:
    sections = {
        name: Section(title=name.capitalize(), how=f"How {name} is.", measure=lambda _: [])
        for name in ("live", "backfill", "wal")
    }
    text = document(raw(backfill=BACKFILL, live=LIVE), sections)
    heads = [line for line in text.splitlines() if line.startswith("#")]
    assert heads == ["# Benchmarks", "## Ratios", "## Live", "## Backfill"]
    assert "How live is." in text
    assert "| one-shot statement | s | 10 | 9 | 30 | 3 |" in text


def test_the_report_names_the_machine_and_the_command() -> None:
    text = document(raw(backfill=BACKFILL), {})
    assert "- CPU: a quick one" in text
    assert "- 2026-01-01 10:00 UTC: `run` (all of it)" in text


def test_sections_of_different_runs_say_when_each_was_measured() -> None:
    later = replace(LIVE, at="2026-01-02 11:00 UTC", command="run --only live")
    text = document(raw(backfill=BACKFILL, calls=CALLS, live=later), {})
    assert "- 2026-01-01 10:00 UTC: `run` (backfill, calls)" in text
    assert "- 2026-01-02 11:00 UTC: `run --only live` (live)" in text


def test_what_was_measured_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "raw.json"
    assert load(path) == {}
    save(raw(backfill=BACKFILL, live=LIVE), path)
    assert load(path) == {"backfill": BACKFILL, "live": LIVE}


def test_samples_become_series_by_name_and_unit() -> None:
    samples = Samples()
    samples.add("one", {"s": 1.0, "MB": 5.0})
    samples.add("one", {"s": 2.0})
    assert samples.series() == [series("one", 1.0, 2.0), series("one", 5.0, unit="MB")]

"""seed_prefs makes the same blobs of the same seed, some odd, and only where they are read."""

from __future__ import annotations

from typing import Any

import pytest

from prefs.engine.states import State
from tests.support.running import run
from tests.support.steps import blob_texts, copy_all, differences, go, rows, value


def seeded(*arguments: str) -> list[Any]:
    assert run("seed_prefs", "--users", "300", *arguments).status == 0
    found = blob_texts()
    rows("TRUNCATE accounts_user CASCADE")
    return found


def test_the_same_seed_makes_the_same_blobs_and_another_makes_others(site: str) -> None:
    first = seeded("--seed", "7", "--dirty", "0.3")
    assert seeded("--seed", "7", "--dirty", "0.3") == first
    assert seeded("--seed", "8", "--dirty", "0.3") != first


def test_it_adds_to_those_that_are_there(site: str) -> None:
    for _ in range(2):
        outcome = run("seed_prefs", "--users", "3", "--json")
        assert (outcome.status, outcome.json) == (0, {"users": 3})
    names = value("SELECT array_agg(username ORDER BY id) FROM accounts_user")
    assert names == [f"seed-1-{n}" for n in range(6)]


def test_a_fraction_is_odd_and_all_of_it_is_copied_exactly(site: str) -> None:
    run("seed_prefs", "--users", "300", "--dirty", "1")
    copy_all()
    assert differences() == []
    quarantined = sum(run("status_prefs", "--json").json["quarantined"].values())
    assert quarantined > 100
    rows("TRUNCATE accounts_user CASCADE")
    run("seed_prefs", "--users", "300", "--dirty", "0")
    copy_all()
    assert run("status_prefs", "--json").json["quarantined"] == {}


@pytest.mark.parametrize("reached", [State.DUAL_WRITE, State.DROPPED])
def test_it_is_refused_where_the_blob_is_not_all_there_is(site: str, reached: State) -> None:
    go(reached)
    outcome = run("seed_prefs", "--users", "3")
    assert outcome.status == 4
    assert f"the state is {reached}" in outcome.err
    assert value("SELECT count(*) FROM accounts_user") == 0


@pytest.mark.parametrize(
    "arguments", [["--users", "0"], ["--users", "3", "--dirty", "2"], ["--users", "x"], []]
)
def test_a_wrong_argument_is_a_usage_error(site: str, arguments: list[str]) -> None:
    assert run("seed_prefs", *arguments).status == 2

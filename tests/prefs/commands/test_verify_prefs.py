"""verify_prefs: 0 where both stores agree, 3 where they do not, even after it repaired."""

from __future__ import annotations

import pytest

from prefs.engine.states import State
from prefs.models import Run
from tests.support.running import run
from tests.support.steps import (
    add_users,
    blob_texts,
    copy_all,
    document_texts,
    go,
    many_users,
)
from tests.support.tampering import tamper


def test_where_nothing_differs_it_exits_0(site: str) -> None:
    add_users({"theme": "dark"}, None)
    go(State.READ_CUTOVER)
    outcome = run("verify_prefs")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out == "Compared 2 users: 0 differ, 0 repaired.\n"


@pytest.mark.parametrize("mirrored", [State.DUAL_WRITE, State.READ_CUTOVER])
def test_differences_are_listed_and_repaired_from_the_primary(site: str, mirrored: State) -> None:
    first, second = add_users({"theme": "dark"}, {"theme": "dark"})
    copy_all()
    go(mirrored)
    tamper("UPDATE accounts_user SET preferences = '{\"n\": 1.0}' WHERE id = %s", second)
    documents = document_texts()
    found = run("verify_prefs")
    assert found.status == 3
    assert found.out.splitlines()[:2] == [
        "Compared 2 users: 1 differ, 0 repaired.",
        f"  user {second}",
    ]
    repaired = run("verify_prefs", "--repair", "--json")
    assert repaired.status == 3
    assert (repaired.json["repaired"], repaired.json["listed"]) == (1, [second])
    assert run("verify_prefs").status == 0
    assert document_texts() == documents == blob_texts()
    assert first < second


def test_of_many_it_lists_some_and_counts_the_rest(site: str) -> None:
    many_users(25)
    outcome = run("verify_prefs")
    assert outcome.status == 3
    assert outcome.out.count("  user ") == 20
    assert "  and 5 more\n" in outcome.out
    assert "Run it with --repair, then again" in outcome.out


def test_a_sample_counts_for_nothing_but_its_status(site: str) -> None:
    many_users(5)
    outcome = run("verify_prefs", "--sample", "100")
    assert outcome.status == 3
    assert "Compared 5 users taken at random: 5 differ. A sample is no evidence" in outcome.out
    copy_all()
    clean = run("verify_prefs", "--sample", "100", "--json")
    assert clean.status == 0
    assert clean.json == {"sample": True, "users": 5, "differing": 0, "listed": []}
    assert not Run.objects.filter(kind="verification").exists()


def test_without_the_column_it_is_refused(site: str) -> None:
    go(State.DROPPED)
    for arguments in (["verify_prefs"], ["verify_prefs", "--sample", "5"]):
        assert run(*arguments).status == 4


def test_a_wrong_sample_is_a_usage_error(site: str) -> None:
    assert run("verify_prefs", "--sample", "none").status == 2

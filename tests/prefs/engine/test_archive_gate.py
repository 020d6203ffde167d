"""The gate before the archive foresees how large it becomes, and refuses one too large."""

from __future__ import annotations

from dataclasses import replace

import pytest

from prefs.engine import seeding
from prefs.engine.states import Gate, State
from tests.support.refusals import assert_refused, finding
from tests.support.steps import ALIAS, SOON, add_users, go, rows, take


@pytest.mark.slow
@pytest.mark.parametrize("analyzed", [False, True])
def test_the_prediction_is_within_a_factor_of_two_and_stored(site: str, analyzed: bool) -> None:
    seeding.seed(ALIAS, 3_000, odd=0.05, seed=1, progress=lambda _: None)
    go(State.MIRROR_OFF)
    if analyzed:
        rows("ANALYZE accounts_user")
    taken = take(State.DROPPED)
    assert taken is not None
    [gate] = [each for each in taken.gates if each["gate"] == Gate.ARCHIVE_FITS]
    assert gate["figures"]["limit_bytes"] == SOON.archive_max_bytes
    predicted, real = gate["figures"]["predicted_bytes"], taken.figures["archive"]["bytes"]
    assert 0.5 < predicted / real < 2


def test_long_documents_are_foreseen_as_they_are_stored(site: str) -> None:
    text = "md5(n::text) || md5((-n)::text)"
    add_users(*({} for _ in range(400)))
    rows(
        "UPDATE accounts_user SET preferences = jsonb_build_object('long',"
        f" (SELECT string_agg({text}, '') FROM generate_series(id, id + 100) n))"
    )
    go(State.MIRROR_OFF)
    taken = take(State.DROPPED)
    assert taken is not None
    [gate] = [each for each in taken.gates if each["gate"] == Gate.ARCHIVE_FITS]
    assert 0.5 < gate["figures"]["predicted_bytes"] / taken.figures["archive"]["bytes"] < 2


def test_an_archive_over_the_limit_is_refused(site: str) -> None:
    add_users({"theme": "dark"})
    go(State.MIRROR_OFF)
    small = replace(SOON, archive_max_bytes=100)
    assert_refused(Gate.ARCHIVE_FITS, State.DROPPED, "at most 100 are allowed", settings=small)
    predicted = finding(Gate.ARCHIVE_FITS, State.DROPPED, small).figures["predicted_bytes"]
    assert finding(Gate.ARCHIVE_FITS, State.DROPPED, replace(SOON, archive_max_bytes=predicted)).met


def test_a_site_whose_users_are_gone_fits(site: str) -> None:
    go(State.MIRROR_OFF)
    found = finding(Gate.ARCHIVE_FITS, State.DROPPED)
    assert (found.met, found.figures["predicted_bytes"]) == (True, 0)

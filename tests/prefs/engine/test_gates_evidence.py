"""The gates that ask for a verification and a soak: only what the database has on record."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from prefs.engine.states import Gate, State
from prefs.engine.verification import verify, verify_sample
from prefs.models import Run, Transition
from tests.support.refusals import assert_refused, finding
from tests.support.steps import (
    ALIAS,
    SOON,
    add_users,
    copy_all,
    go,
    part_blob,
    rows,
    state,
    stops_after,
    take,
    verify_all,
)
from tests.support.tampering import tamper

MINUTE = timedelta(minutes=1)


def test_no_verification_is_no_evidence(site: str) -> None:
    add_users({"theme": "dark"})
    take(State.DUAL_WRITE)
    copy_all()
    assert_refused(Gate.VERIFIED, State.READ_CUTOVER, "no verification of all users")
    verify_all()
    found = finding(Gate.VERIFIED, State.READ_CUTOVER)
    assert found.met
    assert (found.figures["users"], found.figures["differing"]) == (1, 0)


def test_a_site_without_users_is_verified_as_well(site: str) -> None:
    take(State.DUAL_WRITE)
    verify_all()
    take(State.READ_CUTOVER)
    assert state() is State.READ_CUTOVER


def test_a_verification_that_found_differences_is_no_evidence_even_after_repair(
    site: str,
) -> None:
    add_users({"theme": "dark"}, {})
    take(State.DUAL_WRITE)
    run = verify_all(repair=True)
    assert (run.differing, run.repaired) == (2, 2)
    assert_refused(Gate.VERIFIED, State.READ_CUTOVER, f"run {run.pk} found 2 users")
    verify_all()
    assert finding(Gate.VERIFIED, State.READ_CUTOVER).met


def test_a_later_verification_with_differences_outdates_a_clean_one(site: str) -> None:
    add_users({"theme": "dark"})
    take(State.DUAL_WRITE)
    copy_all()
    verify_all()
    tamper("UPDATE user_preferences SET theme = 'system'")
    verify_all()
    assert_refused(Gate.VERIFIED, State.READ_CUTOVER, "found 1 users")


def test_a_verification_begun_before_the_flip_is_no_evidence(site: str) -> None:
    add_users({"theme": "dark"})
    copy_all()
    verify_all()
    take(State.DUAL_WRITE)
    assert_refused(Gate.VERIFIED, State.READ_CUTOVER, "began before the last flip had drained")


def test_a_verification_begun_while_the_flip_drained_is_no_evidence(site: str) -> None:
    take(State.DUAL_WRITE)
    run = verify_all()
    late = run.started_at + timedelta(milliseconds=1)
    Transition.objects.update(settled_at=late)
    assert_refused(Gate.VERIFIED, State.READ_CUTOVER, "began before the last flip had drained")
    Transition.objects.update(settled_at=run.started_at - timedelta(milliseconds=1))
    assert finding(Gate.VERIFIED, State.READ_CUTOVER).met


def test_a_verification_older_than_its_time_to_live_is_no_evidence(site: str) -> None:
    take(State.DUAL_WRITE)
    verify_all()
    hour = replace(SOON, verification_ttl=timedelta(hours=1))
    rows("UPDATE prefs_transition SET settled_at = settled_at - interval '1 day'")
    rows("UPDATE prefs_run SET started_at = started_at - interval '59 minutes'")
    assert finding(Gate.VERIFIED, State.READ_CUTOVER, hour).met
    rows("UPDATE prefs_run SET started_at = started_at - interval '61 seconds'")
    assert_refused(Gate.VERIFIED, State.READ_CUTOVER, "s ago; it counts for 3600 s", settings=hour)


def test_a_sample_is_no_evidence(site: str) -> None:
    add_users({"theme": "dark"})
    take(State.DUAL_WRITE)
    copy_all()
    assert verify_sample(ALIAS, 1_000).users == 1
    assert_refused(Gate.VERIFIED, State.READ_CUTOVER, "no verification of all users")


def test_an_interrupted_verification_is_no_evidence_until_it_is_resumed(site: str) -> None:
    add_users({}, {})
    take(State.DUAL_WRITE)
    copy_all()
    run = verify(ALIAS, SOON, stops_after(1))
    assert (run.status, run.users) == (Run.Status.INTERRUPTED, 1)
    assert_refused(Gate.VERIFIED, State.READ_CUTOVER, "no verification of all users")
    assert verify_all().pk == run.pk
    assert finding(Gate.VERIFIED, State.READ_CUTOVER).met


def test_going_back_to_expanded_voids_earlier_evidence(site: str) -> None:
    add_users({"theme": "dark"})
    take(State.DUAL_WRITE)
    copy_all()
    verify_all()
    take(State.EXPANDED, forward=False)
    take(State.DUAL_WRITE)
    assert_refused(Gate.VERIFIED, State.READ_CUTOVER, "began before the last flip had drained")


@pytest.mark.parametrize(
    ("reached", "target", "gate", "setting"),
    [
        (State.READ_CUTOVER, State.MIRROR_OFF, Gate.CUTOVER_SOAK, "cutover_soak"),
        (State.MIRROR_OFF, State.DROPPED, Gate.CONTRACT_SOAK, "contract_soak"),
    ],
)
def test_a_soak_goes_by_the_clock_of_the_database_since_the_drain(
    site: str, reached: State, target: State, gate: Gate, setting: str
) -> None:
    go(reached)
    if reached is State.READ_CUTOVER:
        verify_all()
    longer: dict[str, Any] = {setting: 10 * MINUTE}
    soaking = replace(SOON, **longer)
    assert_refused(gate, target, f" of 600 s in {reached}", settings=soaking)
    rows("UPDATE prefs_transition SET settled_at = settled_at - interval '599 seconds'")
    assert not finding(gate, target, soaking).met
    rows("UPDATE prefs_transition SET settled_at = settled_at - interval '2 seconds'")
    found = finding(gate, target, soaking)
    assert found.met
    assert found.figures["needed_seconds"] == 600
    assert 600 < found.figures["elapsed_seconds"] < 630


def test_the_mirror_goes_off_only_after_a_verification_begun_after_the_cutover(
    site: str,
) -> None:
    add_users({"theme": "dark"})
    go(State.READ_CUTOVER)
    assert_refused(Gate.VERIFIED, State.MIRROR_OFF, "began before the last flip had drained")
    verify_all()
    assert finding(Gate.VERIFIED, State.MIRROR_OFF).met


def test_the_way_back_is_open_at_once_after_a_forward_cutover(site: str) -> None:
    add_users({"theme": "dark"})
    go(State.READ_CUTOVER)
    assert finding(Gate.VERIFIED_SINCE_MIRROR, State.DUAL_WRITE).met
    ancient = replace(SOON, verification_ttl=timedelta(0))
    assert finding(Gate.VERIFIED_SINCE_MIRROR, State.DUAL_WRITE, ancient).met
    take(State.DUAL_WRITE, forward=False)
    assert state() is State.DUAL_WRITE


def test_once_the_mirror_was_off_the_way_back_needs_a_new_verification(site: str) -> None:
    add_users({"theme": "dark"})
    go(State.MIRROR_OFF)
    rows("UPDATE user_preferences SET theme = 'light'")
    take(State.READ_CUTOVER, forward=False)
    assert_refused(
        Gate.VERIFIED_SINCE_MIRROR, State.DUAL_WRITE, "began before the last flip had drained"
    )
    assert verify_all(repair=True).repaired == 1
    assert_refused(Gate.VERIFIED_SINCE_MIRROR, State.DUAL_WRITE, "found 1 users")
    verify_all()
    assert finding(Gate.VERIFIED_SINCE_MIRROR, State.DUAL_WRITE).met


def test_differences_found_after_the_cutover_close_the_way_back(site: str) -> None:
    [user] = add_users({"theme": "dark"})
    go(State.READ_CUTOVER)
    part_blob(user, {"theme": "light"})
    verify_all()
    assert_refused(Gate.VERIFIED_SINCE_MIRROR, State.DUAL_WRITE, "found 1 users")

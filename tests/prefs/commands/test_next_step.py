"""status_prefs says what to do next, in every state and situation, and how long it has stood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.management import call_command
from pytest_django import Settings as DjangoSettings

from prefs.conf import Settings
from prefs.engine.backfill import backfill
from prefs.engine.batches import Control
from prefs.engine.evidence import Kind
from prefs.engine.next_step import next_step
from prefs.engine.repair import Direction
from prefs.engine.states import State
from prefs.engine.status import Status, status
from prefs.engine.verification import verify
from prefs.models import Run, Transition
from tests.support.running import run
from tests.support.steps import (
    ALIAS,
    SOON,
    add_users,
    copy_all,
    go,
    many_users,
    part_blob,
    rows,
    set_blob,
    state,
    stops_after,
    take,
    verify_all,
)

SOAKING = replace(SOON, cutover_soak=timedelta(hours=1), contract_soak=timedelta(days=2))


def look(settings: Settings = SOON) -> Status:
    return status(ALIAS, settings)


def says(settings: Settings = SOON) -> str:
    return next_step(look(settings)).says


def follow(limit: int = 30) -> list[str]:
    """Do what is said, again and again, until nothing is left; which commands those were."""
    done: list[str] = []
    while len(done) < limit and (command := next_step(look()).command):
        done.append(command.removeprefix("manage.py "))
        options = ("--noinput",) if "advance_prefs" in command else ()
        outcome = run(*command.split()[1:], *options)
        assert outcome.status in (0, 3), (command, outcome)
    return done


@pytest.mark.slow
def test_who_does_what_it_says_gets_all_the_way(site: str, settings: DjangoSettings) -> None:
    """Case C14: it offered dual_write and dropped, and did not say what to do."""
    settings.PREFS_CUTOVER_SOAK = settings.PREFS_CONTRACT_SOAK = timedelta(0)
    add_users({"theme": "dark"}, {"theme": "light"})
    assert follow() == [
        "backfill_prefs",
        "advance_prefs --to dual_write",
        "backfill_prefs",
        "verify_prefs",
        "advance_prefs --to read_cutover",
        "verify_prefs",
        "advance_prefs --to mirror_off",
        "advance_prefs --to dropped",
    ]
    assert state() is State.DROPPED
    assert says().startswith("Nothing until 20")
    assert says(replace(SOON, archive_lifetime=timedelta(0))).startswith(
        "Run `manage.py archive_prefs --remove`: "
    )


@pytest.mark.slow
def test_who_turned_round_is_led_back(site: str, settings: DjangoSettings) -> None:
    """Case C14: the same on the way back."""
    settings.PREFS_CUTOVER_SOAK = settings.PREFS_CONTRACT_SOAK = timedelta(0)
    add_users({"theme": "dark"}, {"theme": "light"})
    go(State.DROPPED)
    take(State.MIRROR_OFF, forward=False)
    assert follow(5) == [
        "rollback_prefs --to read_cutover",
        "backfill_prefs --reverse",
        "verify_prefs",
        "rollback_prefs --to dual_write",
        "rollback_prefs --to expanded",
    ]
    assert says() == (
        "Run `manage.py advance_prefs --to dual_write`: to go the way again, from then on every"
        " write goes to both stores."
    )


def test_without_users_the_column_can_go_at_once(site: str) -> None:
    """Case C14: a new installation."""
    assert says() == "Run `manage.py advance_prefs --to dropped`: there is no user to move."
    go(State.DROPPED)


def test_a_soak_says_when_it_ends(site: str) -> None:
    """Case C14: with its date."""
    add_users({})
    go(State.READ_CUTOVER)
    assert says(SOAKING).startswith("Run `manage.py verify_prefs`: no verification since")
    verify_all()
    settled = Transition.objects.latest("id").settled_at
    assert settled is not None
    found = next_step(look(SOAKING))
    assert found.not_before == settled + timedelta(hours=1)
    assert found.says == (
        f"Wait until {settled + timedelta(hours=1):%Y-%m-%d %H:%M} UTC, when the soak of"
        " read_cutover ends; then verify again, then advance."
    )
    take(State.MIRROR_OFF)
    assert says(SOAKING).endswith(
        " UTC, when the soak of mirror_off ends; then advance: the column is archived and dropped."
    )


def open_transition() -> None:
    rows("UPDATE prefs_transition SET settled_at = NULL")


def paused() -> None:
    copy_all()
    Run.objects.create(
        kind="backfill",
        phase="catch_up",
        status="interrupted",
        paused=True,
        holder="x",
        started_at="2026-01-01T00:00Z",
        phase_began_at="2026-01-01T00:00Z",
    )


def interrupted() -> None:
    backfill(ALIAS, Direction.FORWARD, SOON, stops_after(1))


def failed() -> None:
    interrupted()
    Run.objects.update(status="failed", error="UserRefused: a user\nand more")


def under_way() -> None:
    interrupted()
    Run.objects.update(status="running")
    rows(
        "INSERT INTO prefs_range (run_id, upto, users, copied, differing, repaired, batches,"
        " retries, token, holder, lease_until)"
        " SELECT id, '9', 0, 0, 0, 0, 0, 0, 1, 'somebody', now() + interval '1 hour' FROM prefs_run"
    )


def differing() -> None:
    copy_all()
    [user] = add_users({"theme": "dark"})
    copy_all()
    part_blob(user, {"theme": "light"})
    verify_all()


def repaired() -> None:
    differing()
    verify_all(repair=True)


def verified() -> None:
    copy_all()
    verify_all()


def damaged() -> None:
    rows("ALTER TABLE accounts_user DISABLE TRIGGER prefs_capture_update")


SITUATIONS: dict[str, tuple[Callable[[], object], str]] = {
    "open transition": (
        open_transition,
        "Run `manage.py advance_prefs --to dual_write`: it finishes the transition expanded to",
    ),
    "paused": (paused, "Run `manage.py backfill_prefs --resume`: backfill run "),
    "interrupted": (interrupted, "Run `manage.py backfill_prefs`: backfill run "),
    "failed": (failed, "Run `manage.py backfill_prefs`: backfill run "),
    "under way": (under_way, "Wait for backfill run "),
    "not caught up": (verify_all, "Run `manage.py backfill_prefs`: it catches up with"),
    "not verified": (copy_all, "Run `manage.py verify_prefs`: no verification since"),
    "differing": (differing, "Run `manage.py verify_prefs --repair`: 1 users differ; then"),
    "repaired": (repaired, "Run `manage.py verify_prefs`: the last one repaired 1 users; one"),
    "verified": (verified, "Run `manage.py advance_prefs --to read_cutover`: reads come from"),
    "damaged": (damaged, "Repair first: accounts_user: trigger prefs_capture_update is "),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_what_is_in_the_way_comes_first(site: str, situation: str) -> None:
    """Case C14: one sentence in every situation, as text and as JSON."""
    make, expected = SITUATIONS[situation]
    many_users(12)
    take(State.DUAL_WRITE)
    make()
    assert says().startswith(expected)
    [line] = [each for each in run("status_prefs").out.splitlines() if each.startswith("next")]
    assert line == f"next         {says()}"
    found = run("status_prefs", "--json").json
    assert found["next"] == says()
    assert found["next_command"] == (next_step(look()).command or None)
    assert (found["since"] is None, found["stood_seconds"] is None) == (False, False)


def test_a_gate_that_only_an_operator_can_meet_is_named_with_its_remedy(site: str) -> None:
    """Case C14: there is no command for it."""
    add_users({})
    copy_all()
    rows("SET synchronous_commit = off")
    assert says().startswith("Meet the gate durable_commits (synchronous_commit is off (session);")
    assert says().endswith(", which the step to dual_write waits for.")


def test_it_says_how_long_a_state_has_stood(site: str) -> None:
    """Case C14: since the transition, or since it was expanded."""
    assert look().stood_since is not None
    assert run("status_prefs").out.startswith("state        expanded, for ")
    take(State.DUAL_WRITE)
    rows("UPDATE prefs_transition SET settled_at = settled_at - interval '3 days 5 hours'")
    assert run("status_prefs").out.startswith("state        dual_write, for 3 days 5 h, since 20")
    assert run("status_prefs", "--json").json["stood_seconds"] >= 277_200


# --- what the last verification is worth ---------------------------------------------------


def test_back_in_expanded_an_old_verification_is_void(site: str) -> None:
    """Case C10: it said 0 differences while blobs had been rewritten."""
    [user, _] = add_users({"theme": "dark"}, {})
    go(State.READ_CUTOVER)
    go(State.EXPANDED)
    set_blob(user, {"theme": "light"})
    back = Transition.objects.filter(from_state="read_cutover").latest("id")
    line = f"void since {back.taken_at:%Y-%m-%d %H:%M} UTC, by the transition {back}"
    assert f"differences  unknown: {line}; before it 0 among 2 users (" in run("status_prefs").out
    found = run("status_prefs", "--json").json
    assert (found["differing"], found["evidence"]) == (
        None,
        {
            "kind": "void",
            "why": f"the transition {back} was taken",
            "void_since": back.taken_at.isoformat(),
            "voided_by": str(back),
        },
    )
    assert found["verification"]["differing"] == 0


@pytest.mark.slow
def test_each_kind_is_told_in_every_state(site: str) -> None:
    """Case C10: verified, not verified, stale, void, differing."""
    [user] = add_users({"theme": "dark"})
    assert look().standing.kind is Kind.NOT_VERIFIED
    go(State.DUAL_WRITE)
    assert look().standing.kind is Kind.NOT_VERIFIED
    copy_all()
    verify_all()
    assert look().standing.kind is Kind.VERIFIED
    assert look(replace(SOON, verification_ttl=timedelta(0))).standing.kind is Kind.STALE
    part_blob(user, {"theme": "light"})
    verify_all(repair=True)
    assert look().standing.kind is Kind.DIFFERING
    for reached in (State.READ_CUTOVER, State.MIRROR_OFF, State.DROPPED):
        go(reached)
        assert (look().standing.kind, look().standing.differing) == (Kind.VOID, None)
    go(State.MIRROR_OFF)
    verify(ALIAS, SOON, Control())
    assert look().standing.kind is Kind.STALE
    assert look().standing.why == "in mirror_off what is written is in one store alone"
    go(State.EXPANDED)
    assert look().standing.kind is Kind.VOID


def test_an_open_transition_voids_what_was_verified_before_it(site: str) -> None:
    """Case C10: from the flip on, and not from its end."""
    add_users({})
    go(State.READ_CUTOVER)
    verify_all()
    assert look().standing.kind is Kind.VERIFIED
    take(State.DUAL_WRITE, forward=False)
    rows("UPDATE prefs_transition SET settled_at = NULL WHERE to_state = 'dual_write' AND id > 1")
    assert look().standing.kind is Kind.VOID


def test_check_is_content_with_differences_of_another_time(site: str) -> None:
    """Case C10: what is void asks for no attention."""
    add_users({"theme": "dark"})
    take(State.DUAL_WRITE)
    verify_all()
    assert run("status_prefs", "--check").status == 3
    take(State.EXPANDED, forward=False)
    assert run("status_prefs", "--check").status == 0


def test_it_works_without_records_of_migrations(site: str) -> None:
    """Case C14: a site whose tables were made without them."""
    call_command("migrate", verbosity=0)
    rows("DROP TABLE django_migrations")
    assert look().stood_since is None
    assert run("status_prefs", "--skip-checks").out.startswith(
        "state        expanded, by no transition on record\n"
    )

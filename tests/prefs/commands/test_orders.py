"""Orders from a second terminal, to a run in a process of its own."""

from __future__ import annotations

import pytest
from django.db import transaction

from prefs.clock import Clock
from prefs.models import Run
from tests.prefs.commands.processes import (
    SLOW,
    at_work,
    copied,
    counted,
    cut_up,
    ended,
    is_exact,
    running,
    stands_still,
)
from tests.support.running import run
from tests.support.steps import copy_all, many_users, rows, until, value

BACKFILL = ("backfill_prefs", *SLOW)
BATCH = 5
ORDERS = [
    ("--pause",),
    ("--resume",),
    ("--stop",),
    ("--set-rate", "5"),
    ("--set-target", "5"),
]


def test_it_pauses_within_a_batch_keeps_its_lease_and_goes_on(site: str) -> None:
    many_users(200)
    with running(site, *BACKFILL, lease=0.8) as process:
        told = run("backfill_prefs", "--pause")
        after = copied()
        assert (told.status, told.err) == (0, "")
        assert told.out == f"{Run.objects.get()} pauses: 1 at work.\n"
        Clock().sleep(1)
        assert copied() <= after + 2 * BATCH
        assert stands_still()
        assert (at_work(), process.poll()) == (1, None)
        assert run("backfill_prefs", "--resume").out == f"{Run.objects.get()} goes on: 1 at work.\n"
        status, _, err = ended(process)
    assert (status, is_exact(200)) == (0, True)
    assert "lost to another" not in err


def test_a_pause_holds_no_lock_and_keeps_nobody_from_writing(site: str) -> None:
    many_users(200)
    with running(site, *BACKFILL):
        run("backfill_prefs", "--pause")
        until(stands_still)
        rows("SET lock_timeout = '1s'")
        rows("UPDATE accounts_user SET is_staff = true")
        with transaction.atomic():
            rows("LOCK TABLE user_preferences IN ACCESS EXCLUSIVE MODE NOWAIT")
        rows("RESET lock_timeout")


def test_it_stops_after_its_batch_and_can_be_resumed(site: str) -> None:
    many_users(200)
    with running(site, *BACKFILL, "--json") as process:
        told = run("backfill_prefs", "--stop", "--json")
        after = copied()
        status, out, _ = ended(process, 5)
    assert (told.json["stopping"], told.json["workers"]) == (True, 1)
    assert status == 130
    assert copied() <= after + 2 * BATCH
    stopped = Run.objects.get()
    assert (stopped.status, stopped.users) == ("interrupted", copied())
    assert f'"users": {copied()}' in out
    assert run("backfill_prefs").status == 0
    assert is_exact(200)


def test_a_paused_one_can_be_stopped(site: str) -> None:
    many_users(200)
    with running(site, *BACKFILL) as process:
        run("backfill_prefs", "--pause")
        until(stands_still)
        run("backfill_prefs", "--stop")
        assert ended(process, 5)[0] == 130
    found = run("backfill_prefs", "--dry-run").out
    assert f"resumes {Run.objects.get()}, in its copy, after {copied()} users" in found
    assert "it is paused: backfill_prefs --resume lets it go on" in found


def test_to_stop_one_that_nobody_is_on_changes_nothing(site: str) -> None:
    many_users(20)
    cut_up(5)
    told = run("backfill_prefs", "--stop")
    assert told.out == f"{Run.objects.get()} stands still: nobody is at work on it now.\n"
    assert not Run.objects.get().stopping


def test_its_rate_can_be_raised_lowered_and_let_go(site: str) -> None:
    many_users(300)
    with running(site, "backfill_prefs", "--batch-size", "5", "--max-rate", "5") as process:
        told = run("backfill_prefs", "--set-rate", "50")
        assert told.out == f"{Run.objects.get()} keeps to at most 50 users a second: 1 at work.\n"
        until(lambda: copied() >= 50, 10)
        run("backfill_prefs", "--set-rate", "1")
        Clock().sleep(1)
        before = copied()
        Clock().sleep(2)
        assert copied() <= before + 3
        assert "keeps to no limit" in run("backfill_prefs", "--set-rate", "0").out
        assert ended(process, 15)[0] == 0
    assert is_exact(300)


def test_the_target_of_its_batches_can_be_set(site: str) -> None:
    many_users(8_000)
    rows("CREATE TABLE seen (id serial, users bigint)")
    rows(
        "CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO seen (users) SELECT count(*) FROM added; PERFORM pg_sleep(0.005);"
        # Any batch but the first can be held up.
        " IF currval('seen_id_seq') > 1 THEN PERFORM pg_advisory_xact_lock_shared(7); END IF;"
        " RETURN NULL; END $$"
    )
    rows(
        "CREATE TRIGGER take_time AFTER INSERT ON user_preferences REFERENCING NEW TABLE AS added"
        " FOR EACH STATEMENT EXECUTE FUNCTION take_time()"
    )
    rows("SELECT pg_advisory_lock(7)")
    with running(site, "backfill_prefs") as process:
        told = run("backfill_prefs", "--set-target", "1")
        assert told.out == f"{Run.objects.get()} aims at 1 ms a batch: 1 at work.\n"
        rows("SELECT pg_advisory_unlock(7)")
        until(lambda: value("SELECT min(users) FROM seen") < 200)
        rows("SELECT pg_advisory_lock(7)")
        shrunk = value("SELECT count(*) FROM seen")
        run("backfill_prefs", "--set-target", "600000")
        rows("SELECT pg_advisory_unlock(7)")
        assert ended(process)[0] == 0
    sizes = [users for (users,) in rows("SELECT users FROM seen ORDER BY id")]
    # Within a batch, and then doubled.
    assert sizes[shrunk + 3] == 2 * sizes[shrunk + 2] == 4 * sizes[shrunk + 1]
    assert is_exact(8_000)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order[0])
@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (("backfill_prefs",), "backfill"),
        (("backfill_prefs", "--reverse"), "reverse backfill"),
        (("verify_prefs",), "verification"),
    ],
    ids=lambda given: given if isinstance(given, str) else None,
)
def test_an_order_to_nobody_is_an_error(
    site: str, command: tuple[str, ...], kind: str, order: tuple[str, ...]
) -> None:
    many_users(1)
    copy_all()
    outcome = run(*command, *order)
    assert (outcome.status, outcome.out) == (1, "")
    assert f"No {kind} run is open, so there is none to give an order to." in outcome.err
    assert run(*command, *order, "--json").json["status"] == 1


@pytest.mark.parametrize(
    "orders",
    [
        ("--pause", "--resume"),
        ("--stop", "--pause"),
        ("--stop", "--set-rate", "5"),
        ("--set-rate", "5", "--set-target", "5"),
        ("--set-rate", "-1"),
        ("--set-target", "0"),
        ("--workers", "0"),
    ],
)
@pytest.mark.parametrize("command", ["backfill_prefs", "verify_prefs"])
def test_orders_exclude_each_other_and_take_numbers(
    site: str, command: str, orders: tuple[str, ...]
) -> None:
    outcome = run(command, *orders)
    assert (outcome.status, outcome.out) == (2, "")
    assert f"usage: manage.py {command}" in outcome.err


def test_a_verification_pauses_and_goes_on_as_well(site: str) -> None:
    many_users(150)
    copy_all()
    with running(site, "verify_prefs", *SLOW) as process:
        assert run("verify_prefs", "--pause").out.endswith(" pauses: 1 at work.\n")
        after = counted()
        Clock().sleep(1)
        paused = counted()
        assert paused <= after + 2 * BATCH
        Clock().sleep(0.5)
        assert (counted(), process.poll()) == (paused, None)
        assert run("verify_prefs", "--resume").status == 0
        assert ended(process)[0] == 0
    assert (counted(), Run.objects.get(kind="verification").status) == (150, "done")

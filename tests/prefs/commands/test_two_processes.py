"""Two processes on one run: both end well, and where one is killed the other finishes."""

from __future__ import annotations

from contextlib import ExitStack

from prefs.clock import Clock
from prefs.models import Run
from tests.prefs.commands.processes import (
    SLOW,
    at_work,
    copied,
    cut_up,
    ended,
    is_exact,
    running,
    stands_still,
)
from tests.support import scratch
from tests.support.running import run
from tests.support.steps import many_users, rows, until, value

BACKFILL = ("backfill_prefs", *SLOW)


def holders() -> set[int]:
    """The processes that are on a range."""
    held = "SELECT holder FROM prefs_range WHERE lease_until > clock_timestamp()"
    return {int(holder.split()[1]) for (holder,) in rows(held)}


def test_a_second_process_joins_and_both_end_well_with_exact_counts(site: str) -> None:
    many_users(400)
    cut_up(20)
    with ExitStack() as stack:
        first, second = (stack.enter_context(running(site, *BACKFILL)) for _ in range(2))
        until(lambda: holders() == {first.pid, second.pid}, 20)
        ends = [ended(process) for process in (first, second)]
    assert [status for status, _, _ in ends] == [0, 0]
    assert f"joins {Run.objects.get()}, in its copy, after " in ends[1][2]
    assert f"at work on it: pid {first.pid} on " in ends[1][2]
    assert all("400 users copied" in out for _, out, _ in ends)
    assert is_exact(400)


def test_a_second_start_on_a_paused_run_says_that_it_is_paused(site: str) -> None:
    many_users(100)
    cut_up(10)
    with running(site, *BACKFILL) as first:
        run("backfill_prefs", "--pause")
        until(stands_still)
        with scratch.start(scratch.environment(site), *BACKFILL) as second:
            until(lambda: at_work() == 2, 20)
            assert stands_still()
            run("backfill_prefs", "--resume")
            ends = [ended(first), ended(second)]
    assert [status for status, _, _ in ends] == [0, 0]
    assert "it is paused: backfill_prefs --resume lets it go on" in ends[1][2]
    assert "it is paused" not in ends[0][2]
    assert is_exact(100)


def test_an_order_to_stop_reaches_both_even_one_that_waits_for_work(site: str) -> None:
    many_users(600)
    environ = scratch.environment(site)
    # All users are in the range of the first.
    with running(site, *BACKFILL) as first, scratch.start(environ, *BACKFILL) as second:
        # Each has a worker's session, and the one with batches a throttle's.
        until(lambda: sessions() == 3, 20)
        Clock().sleep(1)
        assert "stops after the batches in hand" in run("backfill_prefs", "--stop").out
        ends = [ended(first, 5), ended(second, 5)]
    assert [status for status, _, _ in ends] == [130, 130]
    assert Run.objects.get().status == "interrupted"
    assert Run.objects.get().users == copied() < 600


def sessions() -> int:
    found: int = value(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return found


def test_one_of_two_is_killed_and_the_other_finishes_with_exact_counts(site: str) -> None:
    many_users(400)
    cut_up(20)
    with ExitStack() as stack:
        first, second = (stack.enter_context(running(site, *BACKFILL, lease=2)) for _ in range(2))
        until(lambda: holders() == {first.pid, second.pid}, 20)
        first.kill()
        first.wait(5)
        # Rows and counters are committed together: at no moment is one ahead of the other.
        assert value(f"SELECT ({COPIED}) - ({COUNTED})") == 0
        assert ended(second)[0] == 0
    assert is_exact(400)


COPIED = "SELECT count(*) FROM user_preferences"
COUNTED = """SELECT (SELECT sum(r.users) FROM prefs_run r)
  + (SELECT coalesce(sum(h.users), 0) FROM prefs_range h)"""


def test_a_restart_is_refused_while_another_is_at_work_which_goes_on(site: str) -> None:
    many_users(100)
    with running(site, *BACKFILL) as process:
        refused = run("backfill_prefs", "--restart", "--json")
        assert (refused.status, refused.json["status"]) == (5, 5)
        assert f"is held by pid {process.pid} on " in refused.json["error"]
        assert ended(process)[0] == 0
    assert is_exact(100)

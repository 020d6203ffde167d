"""Signals finish the batch in hand, and a killed process leaves what another can go on with."""

from __future__ import annotations

import random
import signal
from functools import partial

import pytest

from prefs.clock import Clock
from prefs.models import Run
from tests.prefs.commands.processes import SLOW, at_work, copied, counted, running
from tests.support import scratch
from tests.support.forked import Process
from tests.support.running import run
from tests.support.steps import (
    copy_all,
    differences,
    many_users,
    set_blob,
    until,
    value,
)

BACKFILL = ("backfill_prefs", *SLOW)
BOTH = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


def went_on(before: int, process: Process) -> bool:
    """Whether a process has copied somebody more, or ended."""
    return copied() > before or process.poll() is not None


@pytest.mark.parametrize(("number", "status"), BOTH)
def test_a_backfill_finishes_its_batch_and_resumes(
    site: str, number: signal.Signals, status: int
) -> None:
    many_users(60)
    with running(site, *BACKFILL, "--json") as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert process.returncode == status
    assert "Stopping after this batch." in err
    stopped = Run.objects.get()
    assert (stopped.status, at_work()) == ("interrupted", 0)
    assert stopped.users == stopped.copied == copied() < 60
    assert out.count("\n") == 1
    resumed = run("backfill_prefs", "--json").json
    assert (resumed["run"], resumed["users"], resumed["copied"]) == (stopped.pk, 60, 60)
    assert differences() == []


@pytest.mark.parametrize(("number", "status"), BOTH)
def test_a_verification_finishes_its_batch_and_resumes(
    site: str, number: signal.Signals, status: int
) -> None:
    users = many_users(2_500)
    with scratch.connect(site) as session:
        session.execute("BEGIN")
        session.execute("SELECT FROM accounts_user WHERE id = %s FOR UPDATE", [users[1_200]])
        with running(site, "verify_prefs", "--repair") as process:
            process.send_signal(number)
            process.communicate(timeout=10)
        session.execute("ROLLBACK")
    assert process.returncode == status
    stopped = Run.objects.get()
    assert (stopped.status, stopped.users) == ("interrupted", copied())
    found = run("verify_prefs", "--repair", "--json").json
    assert (found["run"], found["users"], found["repaired"]) == (stopped.pk, 2_500, 2_500)
    assert differences() == []


def test_a_second_signal_ends_it_at_once_and_nothing_is_lost(site: str) -> None:
    many_users(60)
    arguments = ("backfill_prefs", "--batch-size", "5", "--max-rate", "5")
    with running(site, *arguments, lease=0.1) as process:
        process.send_signal(signal.SIGTERM)
        while "Stopping" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 143
    assert copied() == counted()
    copy_all()
    assert (Run.objects.get().copied, differences()) == (60, [])


def test_killed_at_random_instants_it_resumes_with_exact_counts(site: str) -> None:
    many_users(400)
    rng, kills = random.Random(), 0
    for _ in range(5):
        before = copied()
        environ = scratch.environment(site, lease=0.05)
        arguments = ("backfill_prefs", "--batch-size", "7", "--max-rate", "300")
        with scratch.start(environ, *arguments) as process:
            until(partial(went_on, before, process), 20)
            Clock().sleep(rng.uniform(0, 0.2))
            kills += process.poll() is None
            process.kill()
        until(lambda: at_work() == 0)
        assert copied() == counted() == counted("copied")
    assert kills >= 3
    copy_all()
    done = Run.objects.get()
    assert (done.status, done.users, done.copied) == ("done", 400, 400)
    assert differences() == []


def test_a_process_that_slept_past_its_lease_is_fenced_off(site: str) -> None:
    users = many_users(60)
    with running(site, *BACKFILL, lease=0.2) as process:
        until(
            lambda: (
                value(
                    "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                    " WHERE a.datname = current_database() AND l.mode LIKE 'Row%'"
                )
                == 0
            )
        )
        process.send_signal(signal.SIGSTOP)
        until(lambda: at_work() == 0)
        assert copy_all().status == Run.Status.DONE
        set_blob(users[-1], {"theme": "light"})
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=10)
    # The range was lost; the run itself is done.
    assert process.returncode == 0
    assert "was lost to another process" in err
    done = Run.objects.get()
    assert (done.status, done.users, done.copied) == ("done", 60, 60)
    assert differences() == [users[-1]]


def test_a_run_whose_session_the_server_ends_says_so_and_resumes(site: str) -> None:
    many_users(60)
    with running(site, *BACKFILL, "--json", lease=0.05) as process:
        value(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        out, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "cannot be reached, or went away" in err
    assert "Traceback" not in err
    assert out.count("\n") == 1
    copy_all()
    assert (Run.objects.get().users, Run.objects.get().copied, differences()) == (60, 60, [])


def block(alias: str) -> str:
    """A site's own throttle that does not answer."""
    Clock().sleep(300)
    return alias


# The statement that comes before the site's own function is asked.
LOOKED = """SELECT count(*) FROM pg_stat_activity WHERE state = 'idle'
  AND datname = current_database() AND query LIKE '%pg_stat_replication%'"""


def interrupt(process: Process) -> None:
    process.send_signal(signal.SIGINT)


def terminate(process: Process) -> None:
    process.send_signal(signal.SIGTERM)


def order_to_stop(process: Process) -> None:
    assert run("backfill_prefs", "--stop").status == 0


ENDS = {
    "SIGINT": (interrupt, 130),
    "SIGTERM": (terminate, 143),
    "--stop": (order_to_stop, 130),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_throttle_that_blocks_keeps_nobody_from_ending_it(site: str, how: str) -> None:
    """Case B15: PREFS_THROTTLE_CALLABLE blocked, and Ctrl-C waited for it without end."""
    end, status = ENDS[how]
    many_users(20)
    environ = scratch.environment(site, throttle_callable=f"{__name__}.block")
    with scratch.start(environ, "backfill_prefs", "--workers", "2") as process:
        try:
            until(lambda: value(LOOKED) > 0 or process.poll() is not None, 20)
            end(process)
            _, err = process.communicate(timeout=10)
        finally:
            process.kill()
    assert process.returncode == status, err
    assert "A look at what to wait for has not ended, and was left to itself." in err
    assert (Run.objects.get().status, copied()) == ("interrupted", 0)
    assert run("backfill_prefs", "--json").json["copied"] == 20

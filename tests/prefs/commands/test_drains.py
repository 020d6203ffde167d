"""What a drain tells of those it waits for, and what is left where nobody waits any longer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from prefs.blockers import Blocker
from prefs.engine.flips import blockers
from prefs.engine.states import State
from prefs.models import Transition, UserPreferences
from tests.support import scratch
from tests.support.running import run
from tests.support.steps import (
    ALIAS,
    add_users,
    go,
    rows,
    state,
    until,
    verify_all,
)

READ_SWITCHES = "SELECT active FROM waffle_switch"
WRITE = "UPDATE accounts_user SET is_staff = true WHERE id = %s"
SHORT = ("--drain-timeout", "0.1")


@contextmanager
def writing(site: str, user: int, name: str = "the previous release") -> Iterator[scratch.Session]:
    """A session that has read the switches and written, and has not committed."""
    with scratch.connect(site, name) as session:
        session.execute("BEGIN")
        session.execute(READ_SWITCHES)
        session.execute(WRITE.encode(), [user])
        yield session
        session.execute("COMMIT")


def test_each_of_them_is_named_with_what_it_does(site: str) -> None:
    one, other = add_users({}, {})
    with writing(site, one) as session, writing(site, other, "") as unnamed:
        time.sleep(1)
        first, second = sorted(blockers(ALIAS), key=lambda b: b.name, reverse=True)
        assert first == Blocker(
            pid=session.info.backend_pid,
            name="the previous release",
            state="idle in transaction",
            seconds=first.seconds,
            statement=WRITE.replace("%s", "$1"),
        )
        assert 1 <= first.seconds < 10
        assert str(first).startswith(
            f"pid {session.info.backend_pid} (the previous release, idle in transaction,"
            f" {first.seconds:.1f} s): U"
        )
        assert (second.pid, second.name) == (unnamed.info.backend_pid, "")
        assert "(unnamed, " in str(second)
    assert blockers(ALIAS) == []


def test_a_prepared_transaction_is_named_by_what_ends_it(site: str) -> None:
    assert rows("SHOW max_prepared_transactions") != [("0",)], "set it to 20, as ours does"
    [user] = add_users({})
    with scratch.connect(site) as session:
        session.execute("BEGIN")
        session.execute(READ_SWITCHES)
        session.execute(WRITE.encode(), [user])
        session.execute("PREPARE TRANSACTION 'a gid'")
    try:
        [found] = blockers(ALIAS)
        assert (found.pid, found.name, found.state) == (None, "a gid", "prepared")
        assert str(found) == "the prepared transaction 'a gid' (prepared, 0.0 s)"
        outcome = run("advance_prefs", *SHORT)
        assert outcome.status == 1
        assert "  waits for the prepared transaction 'a gid' (prepared, " in outcome.out
    finally:
        rows("COMMIT PREPARED 'a gid'")
    assert run("advance_prefs").status == 0


def test_past_its_time_the_transition_is_left_open_and_taken_up_again(site: str) -> None:
    [user] = add_users({"theme": "dark"})
    with writing(site, user) as session:
        outcome = run("advance_prefs", *SHORT, "--json")
        assert outcome.status == 1
        assert (outcome.json["state"], outcome.json["settled"]) == ("dual_write", False)
        [waited_for] = outcome.json["waits_for"]
        assert waited_for["pid"] == session.info.backend_pid
        assert waited_for["name"] == "the previous release"
        again = run("advance_prefs", *SHORT)
        assert again.status == 1
        assert "Run the same command again to finish it." in again.out
        assert f"  waits for pid {session.info.backend_pid} (the previous release, " in again.out
        assert Transition.objects.count() == 1
    finished = run("advance_prefs", *SHORT, "--json")
    assert (finished.status, finished.json["settled"]) == (0, True)
    assert "waits_for" not in finished.json
    assert (state(), Transition.objects.count()) == (State.DUAL_WRITE, 1)


@pytest.mark.parametrize("override", [(), ("--override", "cutover_soak", "--reason", "a test")])
def test_the_same_command_finishes_it_before_a_drop_as_well(
    site: str, override: tuple[str, ...]
) -> None:
    [user] = add_users({"theme": "dark"})
    go(State.READ_CUTOVER)
    verify_all()
    command = ("advance_prefs", *SHORT, *override)
    environ = scratch.environment(site, **({} if override else {"cutover_soak": 0.0}))
    with writing(site, user, "prefs tester"):
        assert scratch.manage(environ, *command).returncode == 1
    assert state() is State.MIRROR_OFF
    dry = scratch.manage(environ, *command, "--dry-run")
    assert "read_cutover to mirror_off: taken, not settled yet." in dry.stdout
    finished = scratch.manage(environ, *command)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert (state(), Transition.objects.filter(settled_at=None).count()) == (State.MIRROR_OFF, 0)


def test_a_rollback_can_be_left_as_well(site: str) -> None:
    [user] = add_users({"theme": "dark"})
    go(State.DUAL_WRITE)
    with writing(site, user):
        assert run("rollback_prefs", *SHORT).status == 1
    assert run("rollback_prefs", *SHORT).status == 0
    assert (state(), Transition.objects.count()) == (State.EXPANDED, 2)


@pytest.mark.parametrize("timeout", ["-1", "nan", "inf", "soon"])
def test_a_time_that_is_none_is_a_mistake(site: str, timeout: str) -> None:
    outcome = run("advance_prefs", "--drain-timeout", timeout)
    assert outcome.status == 2
    assert "invalid number of seconds value" in outcome.err


def test_status_shows_whom_an_open_transition_waits_for(site: str) -> None:
    [user] = add_users({"theme": "dark"})
    with writing(site, user) as session:
        assert run("status_prefs", "--json").json["waits_for"] == []
        run("advance_prefs", *SHORT)
        found = run("status_prefs", "--json").json
        assert [each["pid"] for each in found["waits_for"]] == [session.info.backend_pid]
        line = f"  waits for pid {session.info.backend_pid} (the previous release, idle in tr"
        assert line in run("status_prefs").out
    assert run("status_prefs", "--json").json["waits_for"] == []


def test_no_writer_is_stalled_while_it_waits(site: str) -> None:
    early, other = add_users({}, {})
    drain = ("advance_prefs", "--drain-timeout", "3")
    # A write that waited for the drain would be refused, however slow the machine is.
    rows("SET lock_timeout = '1s'")
    with writing(site, early), scratch.start(scratch.environment(site), *drain) as draining:
        until(Transition.objects.exists, 20)
        number = 0
        while draining.poll() is None:
            UserPreferences.objects.merge(other, {"n": number})
            number += 1
    assert draining.returncode == 1
    assert number > 100
    rows("RESET lock_timeout")
    assert UserPreferences.objects.document(other) == {"n": number - 1}

"""archive_prefs checks and removes the archive that advance_prefs made before the drop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from pytest_django import Settings as DjangoSettings

from prefs.engine.archive import recorded
from prefs.engine.states import State
from prefs.models import Range, Run
from tests.support import scratch
from tests.support.forked import Process
from tests.support.running import run
from tests.support.steps import ALIAS, add_users, go, many_users, rows, state, until, value
from tests.support.tampering import behind_their_backs

BOTH = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


def test_without_an_archive_it_says_why_and_exits_1(site: str) -> None:
    for arguments in ((), ("--remove", "--noinput")):
        outcome = run("archive_prefs", *arguments)
        assert outcome.status == 1
        assert "There is no archive of a dropped column: no drop is on record" in outcome.err
    assert run("status_prefs", "--json").json["archive"] is None


def test_it_prints_what_is_archived_beside_what_was_recorded(site: str) -> None:
    gone, _ = add_users({"theme": "dark"}, {"n": 1})
    go(State.DROPPED)
    rows("DELETE FROM accounts_user WHERE id = %s", gone)
    made = recorded(ALIAS)
    outcome = run("archive_prefs")
    assert outcome.status == 0, outcome
    lines = outcome.out.splitlines()
    assert lines[0] == "users        1 archived, 1 departed since; 2 recorded"
    assert lines[1] == f"checksum     {made.checksum}; {made.checksum} recorded"
    assert lines[2] == f"bytes        {made.bytes:,}"
    assert lines[3] == f"made         {made.made_at:%Y-%m-%d %H:%M} UTC, by archive run {made.run}"
    until_ = made.made_at + timedelta(days=90)
    assert lines[4] == f"removable    from {until_:%Y-%m-%d %H:%M} UTC on"
    assert lines[-1] == "The archive is what was archived."
    found = run("archive_prefs", "--json").json
    assert (found["right"], found["recorded"]) == (True, made.figures())
    assert "archive      2 users, " in run("status_prefs").out
    assert run("status_prefs", "--json").json["archive"] == made.figures()


def test_it_exits_3_and_names_users_whose_document_was_changed(site: str) -> None:
    _, user = add_users({"theme": "dark"}, {"theme": "light"})
    go(State.DROPPED)
    with behind_their_backs():
        rows("UPDATE prefs_archive SET document = '{}' WHERE user_id = %s", user)
    outcome = run("archive_prefs")
    assert outcome.status == 3
    assert f"  user {user}\n" in outcome.out
    assert "is NOT what was archived" in outcome.out
    outcome = run("archive_prefs", "--json")
    assert (outcome.status, outcome.json["right"], outcome.json["listed"]) == (3, False, [user])


def test_it_exits_3_where_a_row_is_missing(site: str) -> None:
    user, _ = add_users({"theme": "dark"}, {"theme": "light"})
    go(State.DROPPED)
    with behind_their_backs():
        rows("DELETE FROM prefs_archive WHERE user_id = %s", user)
    outcome = run("archive_prefs")
    assert outcome.status == 3
    assert "users        1 archived, 0 departed since; 2 recorded" in outcome.out


def test_a_removal_before_its_time_is_refused_and_names_the_date_and_the_setting(
    site: str, settings: DjangoSettings
) -> None:
    settings.PREFS_ARCHIVE_LIFETIME = timedelta(days=7)
    add_users({"theme": "dark"})
    go(State.DROPPED)
    outcome = run("archive_prefs", "--remove", "--noinput", "--json")
    until_ = recorded(ALIAS).made_at + timedelta(days=7)
    assert outcome.status == outcome.json["status"] == 4
    assert f"from {until_:%Y-%m-%d %H:%M} UTC on" in outcome.json["error"]
    assert "(PREFS_ARCHIVE_LIFETIME, 7 days)" in outcome.json["error"]
    assert run("archive_prefs").status == 0


def test_a_removal_asks_first(site: str, settings: DjangoSettings) -> None:
    settings.PREFS_ARCHIVE_LIFETIME = timedelta(0)
    add_users({"theme": "dark"})
    go(State.DROPPED)
    assert run("archive_prefs", "--remove").status == 2
    assert run("archive_prefs").status == 0
    outcome = run("archive_prefs", "--remove", "--noinput")
    assert (outcome.status, outcome.out) == (0, "Removed the archive of 1 users.\n")
    outcome = run("archive_prefs")
    assert outcome.status == 1
    assert "was removed at 20" in outcome.err
    assert run("status_prefs", "--json").json["archive"] is None


@contextmanager
def archiving(site: str) -> Iterator[Process]:
    """advance_prefs, with a thousand users archived, at a user that somebody holds."""
    users = many_users(2_500)
    go(State.MIRROR_OFF)
    environ = scratch.environment(site, contract_soak=timedelta(0), lease=timedelta(seconds=1))
    with scratch.connect(site) as session:
        session.execute("BEGIN")
        session.execute("SELECT FROM accounts_user WHERE id = %s FOR UPDATE", [users[1_200]])
        with scratch.start(environ, "advance_prefs", "--noinput") as process:
            try:
                until(lambda: value("SELECT count(*) >= 1000 FROM prefs_archive"), 20)
                yield process
            finally:
                process.kill()


@pytest.mark.parametrize(("number", "status"), BOTH)
def test_a_signal_stops_the_archive_before_the_drop_and_the_command_resumes_it(
    site: str, settings: DjangoSettings, number: signal.Signals, status: int
) -> None:
    settings.PREFS_CONTRACT_SOAK = timedelta(0)
    with archiving(site) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert process.returncode == status, err
    assert "nothing was dropped. Run the same command again and it resumes." in out
    stopped = Run.objects.get(kind="archive")
    assert (stopped.status, state()) == ("interrupted", State.MIRROR_OFF)
    outcome = run("advance_prefs", "--noinput", "--json")
    assert outcome.status == 0, outcome
    assert outcome.json["figures"]["archive"]["run"] == stopped.pk
    assert run("archive_prefs", "--json").json["compared"] == 2_500


def test_a_killed_archive_is_resumed_once_its_lease_is_over(
    site: str, settings: DjangoSettings
) -> None:
    settings.PREFS_CONTRACT_SOAK = timedelta(0)
    with archiving(site) as process:
        process.kill()
        process.wait(10)
        held = Range.objects.get()
    # It joins the run, and waits for what the dead process holds.
    outcome = run("advance_prefs", "--noinput")
    assert outcome.status == 0, outcome
    assert not Range.objects.filter(pk=held.pk).exists()
    [killed] = Run.objects.filter(kind="archive")
    assert (killed.status, killed.copied) == ("done", 2_500)
    assert run("archive_prefs").status == 0

"""`migrate` expands a live site, and goes back only while the blob is all that is read."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django import DjangoDbBlocker

from prefs.clock import Clock
from prefs.engine.integrity import problems
from prefs.engine.states import State
from prefs.engine.unexpand import FORGET
from prefs.models import Run
from tests.support import scratch
from tests.support.running import run
from tests.support.steps import (
    ALIAS,
    add_users,
    blob_texts,
    differences,
    document_texts,
    go,
    in_thread,
    rows,
    state,
    until,
    value,
    waiting_for_locks,
)

DOCUMENTS = ({"theme": "dark"}, None, '{"n": 1.0}')
TABLES = "SELECT count(*) FROM pg_class WHERE relname ~ '^(prefs_|user_pref|notification_pref)'"
KEYS = """SELECT conrelid::regclass::text, pg_get_constraintdef(oid), convalidated
  FROM pg_constraint WHERE contype = 'f' AND confrelid = 'accounts_user'::regclass
  AND conrelid::regclass::text LIKE '%preferences' ORDER BY 1"""
CASCADES = "FOREIGN KEY (user_id) REFERENCES accounts_user(id) ON UPDATE CASCADE ON DELETE CASCADE"
TOUCH = b"UPDATE accounts_user SET last_name = CASE last_name WHEN 'x' THEN 'y' ELSE 'x' END"


@pytest.fixture(scope="module")
def old_template(django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """A site as the previous release left it, with users, to be copied."""
    with django_db_blocker.unblock(), scratch.database() as name:
        with scratch.pointed_at(name):
            call_command("migrate", "accounts", "0001", verbosity=0)
            add_users(*DOCUMENTS)
        yield name


@pytest.fixture(scope="module")
def expanded_template(old_template: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The same, migrated."""
    with django_db_blocker.unblock(), scratch.database(old_template) as name:
        with scratch.pointed_at(name):
            call_command("migrate", verbosity=0)
        yield name


@pytest.fixture
def old_site(old_template: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """A copy of the old site, which the test may do anything to."""
    with (
        django_db_blocker.unblock(),
        scratch.database(old_template) as name,
        scratch.pointed_at(name),
    ):
        yield name


@pytest.fixture
def expanded(expanded_template: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """A copy of it once it was migrated."""
    with (
        django_db_blocker.unblock(),
        scratch.database(expanded_template) as name,
        scratch.pointed_at(name),
    ):
        yield name


def test_a_small_site_is_copied_at_once(old_site: str, capsys: pytest.CaptureFixture[str]) -> None:
    texts = blob_texts()
    outcome = scratch.manage(scratch.environment(old_site), "migrate")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert "    Copied the preferences of 3 users.\n" in outcome.stdout
    assert (differences(), blob_texts(), state()) == ([], texts, State.EXPANDED)
    assert rows(KEYS) == [
        ("notification_preferences", CASCADES, True),
        ("user_preferences", CASCADES, True),
    ]


def test_a_large_site_is_told_what_to_run(old_site: str) -> None:
    environ = scratch.environment(old_site, inline_backfill_max_users=2)
    outcome = scratch.manage(environ, "migrate")
    assert outcome.returncode == 0
    assert "More than 2 users: nothing was copied here. Run `manage.py backfill_prefs`" in (
        outcome.stdout
    )
    assert (len(differences()), Run.objects.count()) == (3, 0)


def test_an_empty_site_is_nothing_to_speak_of(old_site: str) -> None:
    rows("DELETE FROM accounts_user")
    outcome = run("migrate")
    assert outcome.status == 0
    assert "Copied" not in outcome.out
    assert not Run.objects.exists()


@pytest.mark.slow
def test_it_goes_back_from_expanded_and_forward_again(expanded: str) -> None:
    texts = blob_texts()
    for _ in range(2):
        assert run("migrate", "prefs", "zero").status == 0
        assert (value(TABLES), blob_texts()) == (0, texts)
        assert run("migrate").status == 0
        assert (differences(), document_texts()) == ([], texts)


@pytest.mark.parametrize(
    ("reached", "target"),
    [*((reached, "zero") for reached in list(State)[1:]), (State.DUAL_WRITE, "0003")],
)
def test_it_does_not_go_back_from_any_other_state(
    expanded: str, reached: State, target: str
) -> None:
    go(reached)
    before = document_texts(), value(TABLES), rows("SELECT * FROM waffle_switch")
    outcome = run("migrate", "prefs", target)
    assert outcome.status == 4
    assert f"the state is {reached}" in outcome.err
    assert "Run `manage.py rollback_prefs` until the state is expanded." in outcome.err
    after = document_texts(), value(TABLES), rows("SELECT * FROM waffle_switch")
    assert after == before


@pytest.mark.slow
def test_an_audit_and_an_archive_stay_unless_they_may_be_forgotten(
    expanded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case C11: `migrate prefs zero` dropped both unasked."""
    go(State.DROPPED)
    go(State.EXPANDED)
    entries = value("SELECT count(*) FROM prefs_audit")
    for given, kept in (
        ("", f"the audit (entries: {entries}) and the archive (documents: 3)"),
        ("audit", "the archive (documents: 3)"),
        (" archive ,", f"the audit (entries: {entries})"),
    ):
        monkeypatch.setenv(FORGET, given)
        for target in ("zero", "0003"):
            outcome = run("migrate", "prefs", target)
            assert outcome.status == 4
            assert f"would remove {kept} for good; nothing was changed." in outcome.err
            assert "PREFS_FORGET=audit,archive manage.py migrate prefs zero." in outcome.err
    monkeypatch.setenv(FORGET, "everything")
    outcome = run("migrate", "prefs", "zero")
    assert (outcome.status, "PREFS_FORGET is 'everything'; expec" in outcome.err) == (2, True)
    assert value("SELECT count(*) FROM prefs_archive") == 3
    assert problems(ALIAS) == []
    monkeypatch.setenv(FORGET, "archive, audit")
    assert run("migrate", "prefs", "zero").status == 0
    assert value("SELECT to_regclass('prefs_audit')") is None


@pytest.mark.slow
def test_a_refusal_on_record_is_kept_too(expanded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Case C11: one entry is an audit."""
    assert run("advance_prefs", "--to", "mirror_off").status == 4
    outcome = run("migrate", "prefs", "zero")
    assert outcome.status == 4
    assert "would remove the audit (entries: 1) for good" in outcome.err
    assert "PREFS_FORGET=audit manage.py migrate prefs zero." in outcome.err


@pytest.mark.slow
def test_back_and_forth_after_the_whole_way_loses_nothing(
    expanded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = blob_texts()
    monkeypatch.setenv(FORGET, "audit,archive")
    go(State.DROPPED)
    go(State.EXPANDED)
    assert run("migrate", "prefs", "zero").status == 0
    assert run("migrate").status == 0
    assert blob_texts() == document_texts() == texts


def test_the_database_cascades_by_itself(expanded: str) -> None:
    rows("UPDATE accounts_user SET id = id + 1000")
    assert differences() == []
    rows("DELETE FROM accounts_user")
    assert rows("SELECT count(*) FROM user_preferences, notification_preferences") == [(0,)]


def write_until_done(session: scratch.Session, done: Future[Any]) -> None:
    """Write while the other goes on. Raises LockNotAvailable where a write waited for 2 s."""
    session.execute("SET lock_timeout = '2s'")
    while not done.done():
        session.execute(TOUCH.replace(b"accounts_user", b"accounts_user AS u") + b" WHERE id = 2")
        Clock().sleep(0.005)


def test_a_long_writer_makes_it_try_again_and_no_other_writer_waits_long(old_site: str) -> None:
    environ = scratch.environment(
        old_site, ddl_lock_timeout=timedelta(milliseconds=100), inline_backfill_max_users=0
    )
    call_command("migrate", "accounts", verbosity=0)
    call_command("migrate", "waffle", verbosity=0)
    call_command("migrate", "prefs", "0001", verbosity=0)
    with scratch.connect(old_site) as long, scratch.connect(old_site) as short:
        long.execute("BEGIN")
        long.execute(TOUCH + b" WHERE id = 1")
        migrating = in_thread(lambda: scratch.manage(environ, "migrate", "prefs"))
        until(lambda: waiting_for_locks("mode = 'ShareRowExclusiveLock'") > 0, 20)
        # Longer than a writer here would wait behind DDL that queued without a limit.
        write_until_done(short, in_thread(lambda: Clock().sleep(3)))
        assert not migrating.done()
        long.execute("COMMIT")
        write_until_done(short, migrating)
    outcome = migrating.result(30)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert all(validated for _, _, validated in rows(KEYS))


def test_given_up_on_a_lock_it_can_be_run_again(old_site: str) -> None:
    environ = scratch.environment(old_site, lock_patience=0.2, ddl_lock_timeout=0.02)
    call_command("migrate", "accounts", verbosity=0)
    call_command("migrate", "waffle", verbosity=0)
    with scratch.connect(old_site) as long:
        long.execute("BEGIN")
        long.execute(TOUCH)
        failed = scratch.manage(environ, "migrate", "prefs")
        long.execute("ROLLBACK")
    assert failed.returncode == 1
    assert "No table lock to run `ALTER TABLE" in failed.stderr
    assert run("migrate").status == 0
    assert differences() == []


@pytest.mark.slow
@pytest.mark.parametrize("already", [1, 2, 3])
def test_stopped_between_any_two_of_its_statements_it_can_be_run_again(
    old_site: str, already: int
) -> None:
    from prefs.migrations import __name__ as package

    call_command("migrate", "prefs", "0001", verbosity=0)
    module = __import__(f"{package}.0002_foreign_keys", fromlist=["Migration"])
    for operation in module.Migration.operations[:already]:
        rows(operation.sql)
    assert run("migrate").status == 0
    assert [row[2] for row in rows(KEYS)] == [True, True]


@pytest.mark.parametrize("command", ["backfill_prefs", "status_prefs"])
def test_a_site_that_was_not_migrated_is_told_so(old_site: str, command: str) -> None:
    outcome = run(command, "--json")
    assert outcome.status == 1
    assert "manage.py migrate" in outcome.json["error"]

"""The foreign keys, put aside for the copy of many users and put back at its end."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from prefs import ddl
from prefs.clock import Clock
from prefs.conf import Settings
from prefs.engine import keys
from prefs.engine.backfill import backfill, plan
from prefs.engine.batches import Control, Progress
from prefs.engine.gates import GateRefused
from prefs.engine.integrity import problems
from prefs.engine.repair import Direction
from prefs.engine.states import State
from prefs.models import Run
from tests.prefs.engine.busy import writing_all_the_time
from tests.support import scratch
from tests.support.steps import (
    ALIAS,
    SOON,
    copy_all,
    differences,
    in_thread,
    many_users,
    patient,
    rows,
    run_once,
    take,
    until,
    value,
)

FORWARD = Direction.FORWARD
BOTH = ["user_preferences", "notification_preferences"]
ORPHANS = """SELECT count(*) FROM user_preferences p FULL JOIN notification_preferences n
  USING (user_id) WHERE NOT EXISTS (SELECT FROM accounts_user u WHERE u.id = user_id)"""

NEWCOMER = """INSERT INTO accounts_user (password, is_superuser, username, first_name, last_name,
  email, is_staff, is_active, date_joined, preferences)
  VALUES ('', false, %s, '', '', '', false, true, now(), '{"theme": "dark"}')"""
SLEEPS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


@pytest.fixture(autouse=True)
def worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few users are many."""
    monkeypatch.setattr(keys, "WORTH_IT", 10)


def stopped_in_the_copy() -> Run:
    """A backfill that was interrupted after a batch."""
    done: list[Progress] = []
    run = run_once(batch_size=5, progress=done.append, stopped=lambda: bool(done))
    assert (run.status, run.phase) == ("interrupted", "copy")
    return run


def test_they_are_aside_during_the_copy_and_valid_after_it(site: str) -> None:
    many_users(40)
    found: list[list[str]] = []
    run = run_once(batch_size=10, progress=lambda _: found.append(keys.missing(ALIAS)))
    assert found == [BOTH] * 4
    assert (run.status, run.phase, run.copied) == ("done", "keys", 40)
    assert keys.missing(ALIAS) == []
    assert [problem for problem in problems(ALIAS) if "fkey" in problem.what] == []
    rows("DELETE FROM accounts_user WHERE id = (SELECT min(id) FROM accounts_user)")
    assert (value(ORPHANS), value("SELECT count(*) FROM user_preferences")) == (0, 39)


def test_few_users_are_copied_with_them(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "WORTH_IT", 41)
    many_users(40)
    found: list[list[str]] = []
    assert run_once(progress=lambda _: found.append(keys.missing(ALIAS))).phase == "copy"
    assert found == [[]]


def test_they_stay_where_others_write_the_tables(site: str) -> None:
    many_users(40)
    take(State.DUAL_WRITE)
    found: list[list[str]] = []
    run_once(progress=lambda _: found.append(keys.missing(ALIAS)))
    assert not any(found)


def test_the_plan_says_so(site: str) -> None:
    many_users(40)
    rows("ANALYZE accounts_user")
    assert "foreign keys: put back" in "\n".join(plan(ALIAS, FORWARD).lines())
    assert keys.missing(ALIAS) == []


def test_nothing_is_left_of_users_who_went_changed_or_came_meanwhile(site: str) -> None:
    users = many_users(60)
    steps = iter(range(100))

    def live(progress: Progress) -> None:
        step = next(steps)
        if progress.phase == "copy" and step < 3:
            rows("DELETE FROM accounts_user WHERE id = ANY(%s)", users[step * 2 : step * 2 + 2])
            rows("UPDATE accounts_user SET id = id + 100000 WHERE id = %s", users[10 + step])
            rows(NEWCOMER, f"newcomer {step}")

    run = run_once(batch_size=15, progress=live)
    assert run.status == "done"
    assert (value(ORPHANS), keys.missing(ALIAS)) == (0, [])
    take(State.DUAL_WRITE)
    copy_all()
    assert differences() == []


def test_a_row_whose_user_went_under_the_copying_statement_is_deleted(site: str) -> None:
    many_users(20)
    stopped_in_the_copy()
    rows("INSERT INTO user_preferences (user_id) VALUES (4711)")
    assert value(ORPHANS) == 1
    assert copy_all().status == "done"
    assert (value(ORPHANS), keys.missing(ALIAS)) == (0, [])


def test_until_they_are_back_dual_write_is_refused_and_the_remedy_named(site: str) -> None:
    many_users(20)
    run = stopped_in_the_copy()
    with pytest.raises(GateRefused) as refused:
        take(State.DUAL_WRITE)
    [unmet] = [finding for finding in refused.value.findings if not finding.passes]
    assert "no constraint user_preferences_user_id_fkey" in unmet.found
    assert "`manage.py backfill_prefs`" in unmet.remedy
    # The run will put them back: no error of `migrate`, until it is given up.
    assert problems(ALIAS) == []
    rows("UPDATE prefs_run SET status = 'abandoned'")
    assert {each.repair.split(",")[0] for each in problems(ALIAS)} == {
        "Run `manage.py backfill_prefs` in expanded"
    }
    rows("UPDATE prefs_run SET status = 'interrupted'")
    assert copy_all().pk == run.pk
    assert take(State.DUAL_WRITE) is not None


def test_a_restart_and_a_run_that_died_in_between_put_them_back(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_users(20)
    stopped_in_the_copy()
    put_back = keys.put_back
    tried = ddl.Tried(ALIAS, "it", ddl.Wanted(), Control().tries(SOON))

    def fail(*arguments: Any) -> None:
        raise ddl.LockNotObtained("put the foreign keys back", tried)

    monkeypatch.setattr(keys, "put_back", fail)
    with pytest.raises(ddl.LockNotObtained):
        backfill(ALIAS, FORWARD, SOON, Control(), restart=True)
    failed = Run.objects.get(status="failed")
    assert (failed.phase, keys.missing(ALIAS)) == ("keys", BOTH)
    monkeypatch.setattr(keys, "put_back", put_back)
    assert (copy_all().pk, keys.missing(ALIAS)) == (failed.pk, [])


def test_eight_workers_put_them_back_once(site: str) -> None:
    many_users(60)
    run = backfill(ALIAS, FORWARD, SOON, Control(batch_size=5), workers=8)
    assert (run.status, run.copied, keys.missing(ALIAS)) == ("done", 60, [])
    names = "SELECT count(*) FROM pg_constraint WHERE conname ~ 'preferences_user_id_fkey'"
    assert value(names) == 2


def test_where_users_is_locked_for_long_they_stay_and_the_copy_goes_on(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_users(20)
    monkeypatch.setattr(keys, "_PATIENCE", ddl.FIRST_TRY)
    told: list[str] = []
    with scratch.connect(site) as session:
        session.execute("BEGIN")
        session.execute("SELECT FROM accounts_user LIMIT 1")
        run = run_once(notice=told.append)
    assert (run.status, run.phase, run.copied) == ("done", "copy", 20)
    assert [text for text in told if "The foreign keys stay" in text]


def test_they_are_not_put_aside_once_a_flip_is_under_way(site: str) -> None:
    many_users(20)
    with scratch.connect(site) as session:
        session.execute("BEGIN")
        session.execute("SELECT pg_advisory_xact_lock(hashtext('unrelated'))")
        take(State.DUAL_WRITE)
        keys.put_aside(ALIAS, SOON, Control())
    assert keys.missing(ALIAS) == []


def test_a_key_that_somebody_dropped_comes_back_with_the_next_backfill(site: str) -> None:
    many_users(20)
    take(State.DUAL_WRITE)
    rows("ALTER TABLE user_preferences DROP CONSTRAINT user_preferences_user_id_fkey")
    run = copy_all()
    assert (run.status, run.phase, keys.missing(ALIAS)) == ("done", "catch_up", [])


@pytest.mark.slow
def test_a_live_writer_waits_for_no_validation(site: str) -> None:
    users = many_users(20)
    stopped_in_the_copy()
    # The second step is slow, with the key already added.
    rows("INSERT INTO user_preferences (user_id) VALUES (4711)")
    rows(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN PERFORM pg_sleep(3); RETURN OLD; END $$"
    )
    rows(
        "CREATE TRIGGER dawdle BEFORE DELETE ON user_preferences FOR EACH ROW"
        " WHEN (OLD.user_id = 4711) EXECUTE FUNCTION dawdle()"
    )
    future = in_thread(copy_all)
    until(lambda: value(SLEEPS) == 1)
    rows("SET lock_timeout = '1s'")
    rows("UPDATE accounts_user SET last_name = 'x' WHERE id = %s", users[0])
    rows("DELETE FROM accounts_user WHERE id = %s", users[19])
    assert (value(SLEEPS), future.done()) == (1, False)
    assert future.result(20).status == "done"
    assert (value(ORPHANS), keys.missing(ALIAS)) == (0, [])


@pytest.mark.slow
def test_they_come_back_under_transactions_that_hold_users_one_after_the_other(site: str) -> None:
    """Case B17: no transaction is long, but a try of 40 ms never gets through."""
    many_users(20)
    stopped_in_the_copy()
    told: list[str] = []
    clock = Clock()
    with writing_all_the_time(site, 8, (0.2, 0.8)):
        began = clock.now()
        run = backfill(ALIAS, FORWARD, Settings(), Control(notice=told.append))
        took = clock.now() - began
    assert (run.status, run.phase, keys.missing(ALIAS)) == ("done", "keys", [])
    # A try of half a second gets through in one case of four.
    assert took < 60
    assert value("SELECT count(*) FROM pg_constraint WHERE conname ~ 'preferences_user_id_fkey'")
    for text in told:
        assert re.match(
            r"to add the foreign key (user|notification)_preferences_user_id_fkey: \d+ tries at its"
            r" table lock, the last of \d+ ms; waiting for pid \d+"
            r" \(web, [\w ]+, \d\.\d s\): [A-Z]",
            text,
        ), text


@pytest.mark.slow
def test_it_keeps_to_the_limit_and_tells_the_true_reason(site: str) -> None:
    """Case B17: what is too short a limit is not blamed on a long transaction."""
    many_users(20)
    stopped_in_the_copy()
    told: list[str] = []
    settings = replace(patient(5), ddl_lock_timeout=timedelta(milliseconds=60))
    with (
        writing_all_the_time(site, 8, (0.2, 0.8)),
        pytest.raises(ddl.LockNotObtained) as raised,
    ):
        backfill(ALIAS, FORWARD, settings, Control(notice=told.append))
    said = str(raised.value)
    assert said.startswith(
        "No table lock to add the foreign key user_preferences_user_id_fkey within 5 s of short"
        " tries ("
    )
    assert "the last of 60 ms); nothing was changed. Nobody held it all the time: tran" in said
    assert "raise PREFS_DDL_LOCK_TIMEOUT beyond the longest of them" in said
    assert len(told) == 2
    assert copy_all().status == "done"


def test_a_transaction_that_holds_users_all_the_time_is_named(site: str) -> None:
    """Case B17: where one is long, it is said which."""
    [user, *_] = many_users(20)
    stopped_in_the_copy()
    with scratch.connect(site, "the report") as session:
        session.execute("BEGIN")
        session.execute("UPDATE accounts_user SET last_name = 'x' WHERE id = %s", [user])
        with pytest.raises(ddl.LockNotObtained) as raised:
            backfill(ALIAS, FORWARD, SOON, Control())
        said = str(raised.value)
        assert f"It was held all the time by pid {session.info.backend_pid} (the report, " in said
        assert said.endswith(": end that. Then run the same command again.")


@pytest.mark.slow
def test_an_operator_ends_the_tries_at_once_and_the_run_goes_on_later(site: str) -> None:
    """Case B17: a stop is heard between two tries."""
    [user, *_] = many_users(20)
    run = stopped_in_the_copy()
    with scratch.connect(site, "the report") as session:
        session.execute("BEGIN")
        session.execute("UPDATE accounts_user SET last_name = 'x' WHERE id = %s", [user])
        tries = iter(range(1000))
        control = Control(stopped=lambda: run_phase() == "keys" and next(tries) > 5)
        assert backfill(ALIAS, FORWARD, Settings(), control).status == "interrupted"
    assert (copy_all().pk, keys.missing(ALIAS)) == (run.pk, [])


def run_phase() -> str:
    return Run.objects.get().phase


def test_a_worker_whom_another_is_ahead_of_waits_for_it_however_long(site: str) -> None:
    """Case B17: its patience is for locks of others."""
    many_users(20)
    stopped_in_the_copy()
    with scratch.connect(site) as other:
        other.execute("BEGIN")
        other.execute("SELECT pg_advisory_xact_lock(hashtext('prefs foreign keys'))")
        future = in_thread(lambda: backfill(ALIAS, FORWARD, patient(0.1), Control()))
        until(lambda: run_phase() == "keys")
        Clock().sleep(1)
        assert not future.done()
    assert future.result(20).status == "done"

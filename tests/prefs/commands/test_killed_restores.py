"""A process killed while it restores the column leaves what rollback_prefs can finish."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from prefs.clock import Clock
from prefs.engine.states import State
from prefs.models import Run, Transition
from tests.prefs.commands.processes import at_work
from tests.support import scratch
from tests.support.columns import VARIED, definition
from tests.support.running import run
from tests.support.steps import (
    add_users,
    blob_texts,
    differences,
    document_texts,
    go,
    rows,
    state,
    until,
    value,
    waiting_for_locks,
)

QUICK = {"lease": 0.05, "lock_patience": 5}
SLOW_UPDATES = """CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END$$"""
MAKE_SLOW = """CREATE TRIGGER slow BEFORE UPDATE ON accounts_user
  FOR EACH ROW EXECUTE FUNCTION slow()"""


def killed(site: str, when: Callable[[], bool]) -> None:
    """rollback_prefs, killed as soon as `when` holds."""
    with scratch.start(scratch.environment(site, **QUICK), "rollback_prefs") as process:
        until(when, 20)
        assert process.poll() is None
        process.kill()


def alone() -> bool:
    """Whether the server has noticed that the process is gone."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    return bool(value(f"{others} AND pid <> pg_backend_pid()") == 0)


def assert_finished_by_rollback(texts: list[str | None], definition_: object) -> None:
    until(lambda: at_work() == 0)
    outcome = run("rollback_prefs", "--json")
    assert (outcome.status, outcome.json["state"]) == (0, "mirror_off")
    assert not Transition.objects.filter(settled_at=None).exists()
    assert (blob_texts(), definition(), differences()) == (texts, definition_, [])


def assert_nothing_else_begins() -> None:
    for command in ("backfill_prefs --reverse", "verify_prefs"):
        refused = run(*command.split())
        assert refused.status == 4
        assert "dropped to mirror_off (number" in refused.err


def test_killed_between_the_new_column_and_the_fill(site: str) -> None:
    add_users(*VARIED)
    texts, made = blob_texts(), definition()
    go(State.DROPPED)
    documents = document_texts()
    with scratch.connect(site) as session:
        session.execute("BEGIN")
        session.execute("LOCK TABLE prefs_run IN SHARE MODE")
        killed(site, lambda: waiting_for_locks("relation = 'prefs_run'::regclass") > 0)
        session.execute("COMMIT")
    until(alone)
    assert state() is State.MIRROR_OFF
    assert document_texts() == documents
    assert_nothing_else_begins()
    assert_finished_by_rollback(texts, made)


def test_killed_while_it_fills(site: str) -> None:
    add_users(*VARIED)
    texts, made = blob_texts(), definition()
    go(State.DROPPED)
    rows(SLOW_UPDATES)
    rows(MAKE_SLOW)
    killed(site, lambda: Run.objects.filter(kind="reverse").exists())
    until(alone)
    rows("DROP TRIGGER slow ON accounts_user")
    assert_nothing_else_begins()
    assert_finished_by_rollback(texts, made)


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.03])
def test_killed_around_its_last_steps(site: str, delay: float) -> None:
    add_users({"theme": "dark"}, {"x": 1.0})
    rows("ALTER TABLE accounts_user ALTER COLUMN preferences SET NOT NULL")
    rows("CREATE INDEX theme ON accounts_user ((preferences -> 'theme'))")
    texts, made = blob_texts(), definition()
    go(State.DROPPED)
    with scratch.start(scratch.environment(site, **QUICK), "rollback_prefs") as process:
        until(lambda: Run.objects.filter(kind="reverse", batches=1).exists(), 20)
        Clock().sleep(delay)
        process.kill()
    until(alone)
    if Transition.objects.filter(settled_at=None).exists():
        assert_finished_by_rollback(texts, made)
    assert (blob_texts(), definition(), differences()) == (texts, made, [])

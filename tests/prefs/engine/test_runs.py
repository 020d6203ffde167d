"""A run in one hand: its lease, its token, and what a late process may not do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError

from prefs.engine.batches import Control, guarded, walk
from prefs.engine.evidence import database_now
from prefs.engine.leases import LeaseLost, RunHeld, Tally, close, take
from prefs.models import Run
from tests.support.steps import (
    ALIAS,
    SOON,
    in_thread,
    many_users,
    rows,
    value,
    verify_all,
)

SHORT = replace(SOON, lease=timedelta(0))


def taken(settings: Any = SOON, since: Any = None) -> Run:
    return take(Run.Kind.CORRECTION, Run.Phase.CORRECT, ALIAS, settings, since=since)


def walk_on(run: Run) -> Run:
    """The rest of a run, with batches that count and change nothing."""

    def batch(cursor: Any, after: Any, upto: Any) -> Tally:
        return Tally(copied=1)

    return guarded(run, ALIAS, lambda: walk(run, ALIAS, SOON, Control(batch_size=1), batch, 6))


def test_a_second_run_of_a_kind_is_refused_while_the_first_is_alive(site: str) -> None:
    many_users(1)
    first = taken()
    with pytest.raises(RunHeld, match=rf"{first} is held by pid \d+ on .* Its lease ends in 1\d s"):
        taken()
    assert Run.objects.count() == 1


def test_runs_of_two_kinds_do_not_hinder_each_other(site: str) -> None:
    taken()
    assert verify_all().status == Run.Status.DONE


def test_of_two_that_begin_at_once_one_is_refused(site: str) -> None:
    outcomes = [in_thread(taken) for _ in range(4)]
    errors = [future.exception(10) for future in outcomes]
    assert sum(error is None for error in errors) == 1
    assert all(isinstance(error, RunHeld) for error in errors if error)
    assert Run.objects.count() == 1


def test_two_open_runs_of_a_kind_cannot_even_be_stored(site: str) -> None:
    first = taken()
    with pytest.raises(IntegrityError, match="prefs_run_one_open_of_a_kind"):
        Run.objects.create(
            kind=first.kind,
            phase=first.phase,
            holder="x",
            started_at=first.started_at,
            phase_began_at=first.started_at,
        )


def test_a_lease_that_ran_out_hands_the_run_over_with_its_counts(site: str) -> None:
    many_users(6)
    old = taken(SHORT)
    rows("UPDATE prefs_run SET users = 2, copied = 2, cursor = %s", str(first_key(2)))
    new = walk_on(taken())
    assert (new.pk, new.token, new.users, new.copied) == (old.pk, old.token + 1, 6, 6)


def first_key(number: int) -> int:
    key: int = value("SELECT id FROM accounts_user ORDER BY id OFFSET %s LIMIT 1", number - 1)
    return key


def test_a_process_that_lost_its_lease_writes_nothing_more(site: str) -> None:
    many_users(6)
    old = taken(SHORT)
    new = taken()

    def batch(cursor: Any, after: Any, upto: Any) -> Any:
        cursor.execute("UPDATE accounts_user SET preferences = '\"from the grave\"'")
        return Tally(copied=1)

    with pytest.raises(LeaseLost, match="what it had not committed is undone"):
        guarded(old, ALIAS, lambda: walk(old, ALIAS, SOON, Control(), batch, 6))
    assert value("SELECT count(*) FROM accounts_user WHERE preferences = '\"from the grave\"'") == 0
    new.refresh_from_db()
    assert (new.status, new.users, new.token) == (Run.Status.RUNNING, 0, 2)


def test_it_cannot_close_the_run_of_its_successor_either(site: str) -> None:
    old = taken(SHORT)
    new = taken()
    with pytest.raises(LeaseLost):
        close(old, ALIAS, Run.Status.DONE)
    close(new, ALIAS, Run.Status.DONE)
    assert Run.objects.get().status == Run.Status.DONE


def test_a_late_process_changes_nothing_after_a_new_run_has_begun(site: str) -> None:
    many_users(2)
    old = taken(SHORT)
    new = taken(since=database_now(ALIAS))
    old.refresh_from_db()
    assert (old.status, new.status) == (Run.Status.ABANDONED, Run.Status.RUNNING)
    old.token, old.status = 1, Run.Status.RUNNING
    with pytest.raises(LeaseLost):
        close(old, ALIAS, Run.Status.DONE)
    assert old.pk != new.pk

"""A run that begins anew each time: who is refused, and what a late process may not do."""

from __future__ import annotations

import pytest
from django.db import IntegrityError

from prefs.engine import ranges
from prefs.engine.batches import Control
from prefs.engine.leases import LeaseLost, RunHeld
from prefs.engine.tasks import Task
from prefs.models import Range, Run
from tests.support.steps import ALIAS, SOON, in_thread, many_users, verify_all

TASK = Task(ALIAS, SOON, Control())


def joined() -> Run:
    """A run of corrections, as a command begins it."""
    return ranges.join(Run.Kind.CORRECTION, Run.Phase.CORRECT, ALIAS, since=ranges.ANEW)


def taken() -> Range:
    """The same, with a worker on it."""
    claimed = ranges.claim(joined(), "pid 7 on db1, worker 1", TASK)
    assert claimed is not None
    return claimed


def test_a_second_run_of_a_kind_is_refused_while_the_first_is_alive(site: str) -> None:
    many_users(1)
    first = taken().run
    refusal = rf"{first} is held by pid \d+ on db1, worker 1. Its lease ends in 1\d s"
    with pytest.raises(RunHeld, match=refusal):
        taken()
    assert Run.objects.count() == 1


def test_runs_of_two_kinds_do_not_hinder_each_other(site: str) -> None:
    many_users(1)
    taken()
    assert verify_all().status == Run.Status.DONE


def test_of_those_that_begin_at_once_one_goes_on(site: str) -> None:
    many_users(1)
    outcomes = [in_thread(taken) for _ in range(4)]
    errors = [future.exception(10) for future in outcomes]
    assert sum(error is None for error in errors) == 1
    assert all(isinstance(error, RunHeld | LeaseLost) for error in errors if error)
    [held] = Range.objects.all()
    assert held.run.status == Run.Status.RUNNING
    others = Run.objects.exclude(pk=held.run.pk)
    assert set(others.values_list("status", flat=True)) <= {Run.Status.ABANDONED}


def test_two_open_runs_of_a_kind_cannot_even_be_stored(site: str) -> None:
    first = joined()
    with pytest.raises(IntegrityError, match="prefs_run_one_open_of_a_kind"):
        Run.objects.create(
            kind=first.kind,
            phase=first.phase,
            holder="x",
            started_at=first.started_at,
            phase_began_at=first.started_at,
        )


def test_a_late_process_changes_nothing_after_a_new_run_has_begun(site: str) -> None:
    many_users(2)
    old = joined()
    new = joined()
    old.refresh_from_db()
    assert (old.status, new.status) == (Run.Status.ABANDONED, Run.Status.RUNNING)
    assert old.pk != new.pk
    for late in (
        lambda: ranges.claim(old, "late", TASK),
        lambda: ranges.is_over(old, old.phase, TASK),
        lambda: ranges.conclude(old, ALIAS, None),
    ):
        with pytest.raises(LeaseLost):
            late()
    new.refresh_from_db()
    assert new.status == Run.Status.RUNNING

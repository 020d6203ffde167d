"""A run that was left, and one that went on, are in the audit, by whom and how far it was."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from prefs.engine.backfill import backfill
from prefs.engine.repair import Direction
from prefs.models import AuditEntry, Range, Run
from tests.support.steps import ALIAS, SOON, add_users, copy_all, rows, stops_after


def entries() -> list[tuple[str, str, dict[str, Any]]]:
    return list(AuditEntry.objects.order_by("id").values_list("event", "subject", "figures"))


def left_after_a_batch() -> Run:
    add_users(*({"items_per_page": 1 + n} for n in range(6)))
    return backfill(ALIAS, Direction.FORWARD, SOON, stops_after(1, 2))


def test_a_run_that_was_stopped_and_went_on_is_in_the_audit_twice(site: str) -> None:
    run = left_after_a_batch()
    place = {"run": run.pk, "phase": "copy", "users": 2, "left": "interrupted"}
    stopped = ("interrupted", f"backfill run {run.pk}", {**place, "error": ""})
    assert entries() == [stopped]
    assert copy_all().status == Run.Status.DONE
    assert entries() == [stopped, ("resumed", f"backfill run {run.pk}", place)]


def test_a_run_that_failed_is_there_with_its_error(site: str) -> None:
    add_users({})
    rows("ALTER TABLE user_preferences ADD CONSTRAINT never CHECK (user_id < 0) NOT VALID")
    with pytest.raises(Exception, match="whom the database refuses"):
        copy_all()
    [(event, _, figures)] = entries()
    assert (event, figures["left"]) == ("interrupted", "failed")
    assert "whom the database refuses" in figures["error"]


def test_a_run_whose_process_was_killed_is_known_by_the_range_it_left(site: str) -> None:
    run = left_after_a_batch()
    Run.objects.update(status=Run.Status.RUNNING)
    copy_all()
    assert entries()[1:] == [
        (
            "resumed",
            f"backfill run {run.pk}",
            {"run": run.pk, "phase": "copy", "users": 2, "left": "running"},
        )
    ]


def test_who_joins_a_run_that_is_under_way_resumes_nothing(site: str) -> None:
    left_after_a_batch()
    Run.objects.update(status=Run.Status.RUNNING)
    rows("UPDATE prefs_range SET lease_until = now() + %s", timedelta(seconds=0.4))
    copy_all()
    assert not Range.objects.exists()
    assert [event for event, _, _ in entries()] == ["interrupted"]


def test_a_run_that_nobody_stopped_leaves_no_entry(site: str) -> None:
    add_users({})
    copy_all()
    assert entries() == []

"""A backfill copies exactly and counts exactly, interrupted or not, and twice changes nothing."""

from __future__ import annotations

from itertools import count

import pytest
from django.contrib.auth import get_user_model

from prefs.engine.backfill import backfill
from prefs.engine.batches import Control, Progress
from prefs.engine.repair import Direction
from prefs.engine.states import State
from prefs.models import Range, Run, UserPreferences
from tests.support.columns import VARIED
from tests.support.steps import (
    ALIAS,
    SOON,
    FakeClock,
    add_users,
    counters,
    differences,
    document_texts,
    many_users,
    rows,
    run_once,
    set_blob,
    stops_after,
    take,
    value,
    verify_all,
)
from tests.support.tampering import tamper

FORWARD, REVERSE = Direction.FORWARD, Direction.REVERSE
XMIN = (
    "SELECT xmin::text, ctid::text FROM user_preferences UNION ALL"
    " SELECT xmin::text, ctid::text FROM notification_preferences ORDER BY 2, 1"
)


def test_it_copies_every_kind_of_blob_exactly_and_counts_exactly(site: str) -> None:
    add_users(*VARIED)
    run = run_once(batch_size=4, clock=FakeClock())
    total = len(VARIED)
    assert counters(run) == (total, total, 0, 0, -(-total // 4))
    assert (run.status, run.phase, run.retries, run.error) == ("done", "copy", 0, "")
    assert run.finished_at is not None
    assert differences() == []
    take(State.DUAL_WRITE)
    assert verify_all().differing == 0


def test_a_second_run_changes_nothing(site: str) -> None:
    add_users(*VARIED)
    run_once()
    before = rows(XMIN)
    again = run_once()
    assert counters(again) == (len(VARIED), 0, 0, 0, 1)
    assert rows(XMIN) == before
    take(State.DUAL_WRITE)
    run_once()
    assert rows(XMIN) == before


def test_an_empty_site_is_copied_too(site: str) -> None:
    assert counters(run_once()) == (0, 0, 0, 0, 0)


def test_it_overwrites_nobody_while_it_copies(site: str) -> None:
    [user] = add_users({"theme": "dark"})
    run_once()
    set_blob(user, {"theme": "light"})
    assert counters(run_once())[:4] == (1, 0, 0, 0)
    assert differences() == [user]


def test_where_mirrored_it_catches_up_with_whatever_was_written_behind_it(site: str) -> None:
    first, second = add_users({"theme": "dark"}, {"theme": "dark"})
    run_once()
    set_blob(first, {"theme": "light", "x": 1.0})
    take(State.DUAL_WRITE)
    [third] = add_users([])
    tamper("DELETE FROM user_preferences WHERE user_id = %s", third)
    run = run_once()
    assert (run.phase, *counters(run)[:4]) == ("catch_up", 3, 1, 1, 1)
    assert differences() == []
    assert document_texts() == ['{"x": 1.0, "theme": "light"}', '{"theme": "dark"}', "[]"]
    assert second < third


def test_users_and_writes_that_come_during_the_copy_are_caught_up(site: str) -> None:
    users = many_users(40)
    take(State.DUAL_WRITE)
    came = count()

    def meanwhile(progress: Progress) -> None:
        if next(came) == 1:
            UserPreferences.objects.replace(users[0], {"theme": "light"})
            set_blob(users[1], {"theme": "system"})
            add_users({"theme": "dark"}, None)

    run = run_once(batch_size=10, progress=meanwhile)
    assert run.users == 42
    assert differences() == []


def test_users_deleted_during_the_run_are_no_error(site: str) -> None:
    users = many_users(40)

    def meanwhile(progress: Progress) -> None:
        get_user_model()._default_manager.filter(pk__in=users[::3]).delete()

    take(State.DUAL_WRITE)
    run = run_once(batch_size=7, progress=meanwhile)
    assert run.status == Run.Status.DONE
    assert value("SELECT count(*) FROM user_preferences") == len(users) - len(users[::3])
    assert differences() == []


def test_it_resumes_where_it_was_interrupted_with_exact_counts(site: str) -> None:
    many_users(25)
    ids = set()
    for _ in range(30):
        run = one_batch_more()
        ids.add(run.pk)
        if run.status == Run.Status.DONE:
            break
    assert len(ids) == 1
    assert counters(Run.objects.get()) == (25, 25, 0, 0, 7)
    assert differences() == []


def one_batch_more() -> Run:
    return backfill(ALIAS, FORWARD, SOON, stops_after(1, batch_size=4))


def test_a_flip_under_an_open_copy_costs_nothing_of_copy_or_catch_up(site: str) -> None:
    many_users(12)
    begun = one_batch_more()
    take(State.DUAL_WRITE)
    seen = [one_batch_more() for _ in range(6)]
    assert {run.pk for run in seen} == {begun.pk}
    assert [run.status for run in seen[-2:]] == ["interrupted", "done"]
    assert counters(seen[-1]) == (12, 12, 0, 0, 6)


def test_a_catch_up_that_a_flip_overtook_begins_anew(site: str) -> None:
    many_users(12)
    take(State.DUAL_WRITE)
    runs = [one_batch_more() for _ in range(5)]
    assert (runs[-1].phase, runs[-1].status) == ("catch_up", "interrupted")
    take(State.EXPANDED, forward=False)
    take(State.DUAL_WRITE)
    again = run_once()
    assert again.pk != runs[-1].pk
    assert again.status == Run.Status.DONE
    assert Run.objects.get(pk=runs[-1].pk).status == Run.Status.ABANDONED


def test_restart_begins_anew(site: str) -> None:
    many_users(10)
    first = one_batch_more()
    second = backfill(ALIAS, FORWARD, SOON, Control(), restart=True)
    first.refresh_from_db()
    assert (first.status, first.users) == (Run.Status.ABANDONED, 4)
    assert (second.users, second.copied) == (10, 6)


def test_a_batch_commits_its_rows_cursor_and_counters_together_or_nothing(site: str) -> None:
    many_users(10)
    rows(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE 'the last statement fails'; END$$"
    )
    rows(
        "CREATE TRIGGER fail BEFORE UPDATE ON prefs_range FOR EACH ROW"
        " WHEN (NEW.batches = 2) EXECUTE FUNCTION fail()"
    )
    with pytest.raises(Exception, match="the last statement fails"):
        run_once(batch_size=4, clock=FakeClock())
    assert value("SELECT count(*) FROM user_preferences") == 4
    failed = Run.objects.get()
    assert counters(failed) == (4, 4, 0, 0, 1)
    left = Range.objects.get()
    assert left.cursor == str(value("SELECT max(user_id) FROM user_preferences"))
    rows("DROP TRIGGER fail ON prefs_range")
    assert counters(run_once(batch_size=4, clock=FakeClock())) == (10, 10, 0, 0, 3)

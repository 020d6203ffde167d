"""A backfill leaves from the primary, or not at all; the plan says what it would do."""

from __future__ import annotations

from itertools import count

import pytest

from prefs.engine.backfill import backfill, plan
from prefs.engine.batches import ColumnGone, Progress
from prefs.engine.repair import Direction, PrimaryMoved
from prefs.engine.states import State
from prefs.models import Run, UserPreferences
from tests.support.columns import VARIED
from tests.support.refusals import records
from tests.support.steps import (
    ALIAS,
    SOON,
    add_users,
    blob_texts,
    copy_all,
    differences,
    go,
    in_thread,
    many_users,
    part_blob,
    rows,
    run_once,
    stops_after,
    take,
    value,
    verify_all,
)
from tests.support.tampering import tamper

FORWARD, REVERSE = Direction.FORWARD, Direction.REVERSE


@pytest.mark.parametrize("reached", [State.READ_CUTOVER, State.MIRROR_OFF])
def test_copying_over_the_primary_is_refused(site: str, reached: State) -> None:
    add_users({"theme": "dark"})
    go(reached)
    before = records()
    with pytest.raises(PrimaryMoved, match=r"the tables are the primary.*backfill_prefs --reverse"):
        run_once()
    assert records() == before


@pytest.mark.parametrize("reached", [State.EXPANDED, State.DUAL_WRITE])
def test_reverse_over_the_primary_is_refused(site: str, reached: State) -> None:
    add_users({"theme": "dark"})
    go(reached)
    with pytest.raises(
        PrimaryMoved, match=r"the blob is the primary.*Run `manage.py backfill_prefs`"
    ):
        run_once(REVERSE)
    assert blob_texts() == ['{"theme": "dark"}']


def test_without_the_column_there_is_nothing_to_copy(site: str) -> None:
    go(State.DROPPED)
    for direction in Direction:
        with pytest.raises(ColumnGone, match="rollback_prefs --to mirror_off"):
            run_once(direction)


def test_reverse_writes_the_documents_back_to_the_blob(site: str) -> None:
    users = add_users(*VARIED)
    go(State.MIRROR_OFF)
    UserPreferences.objects.replace(users[6], {"theme": "light"})
    run = run_once(REVERSE, batch_size=5)
    assert (run.kind, run.phase, run.users, run.repaired) == ("reverse", "catch_up", len(users), 1)
    assert differences() == []
    assert blob_texts()[6] == '{"theme": "light"}'


def test_a_primary_that_moves_during_the_copy_stops_it(site: str) -> None:
    users = many_users(9)
    go(State.DUAL_WRITE)
    copy_all()
    verify_all()
    tamper("DELETE FROM user_preferences WHERE user_id = %s", users[8])
    went = count()

    def cut_over(progress: Progress) -> None:
        if next(went) == 0:
            in_thread(lambda: take(State.READ_CUTOVER)).result(5)

    with pytest.raises(PrimaryMoved):
        run_once(batch_size=3, progress=cut_over)
    assert value("SELECT count(*) FROM user_preferences") == 8
    assert Run.objects.get(kind="backfill", status="failed").users == 3


def test_a_primary_that_moves_during_the_catch_up_stops_it_before_it_writes(site: str) -> None:
    users = many_users(4)
    go(State.DUAL_WRITE)
    copy_all()
    verify_all()

    def cut_over(progress: Progress) -> None:
        if progress.phase == "catch_up" and progress.users == 2:
            in_thread(lambda: take(State.READ_CUTOVER)).result(5)
            part_blob(users[3], {"theme": "light"})

    with pytest.raises(PrimaryMoved):
        run_once(batch_size=2, progress=cut_over)
    assert UserPreferences.objects.document(users[3]) == {"theme": "dark", "items_per_page": 4}


def test_the_plan_is_what_the_run_does_and_changes_nothing(site: str) -> None:
    many_users(3)
    before = rows("SELECT count(*) FROM user_preferences, prefs_run")
    lines = plan(ALIAS, FORWARD).lines()
    assert lines[0] == "blob to tables, about 3 users, route BLOB"
    assert [line[:8] for line in lines[1:]] == ["1. copy:", "no catch", "writes a"]
    assert rows("SELECT count(*) FROM user_preferences, prefs_run") == before
    take(State.DUAL_WRITE)
    run = backfill(ALIAS, FORWARD, SOON, stops_after(2))
    lines = plan(ALIAS, FORWARD).lines()
    assert [line[:9] for line in lines[1:3]] == ["1. copy: ", "2. catch-"]
    assert lines[3] == f"resumes {run}, in its copy, after 2 users"

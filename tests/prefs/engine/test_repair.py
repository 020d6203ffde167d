"""Overwriting a mirror: from the primary, under the users' row locks, and only what differs."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction

from prefs.engine import repair
from prefs.engine.repair import (
    Direction,
    PrimaryMoved,
    count_users,
    make_equal,
    overwrite_mirror,
)
from prefs.engine.states import State
from prefs.models import UserPreferences
from prefs.routing import Route
from tests.support.columns import VARIED
from tests.support.steps import (
    ALIAS,
    add_users,
    blob_texts,
    differences,
    document_texts,
    go,
    held_open,
    in_thread,
    many_users,
    part_blob,
    rows,
    waiting_for_locks,
)
from tests.support.tampering import tamper


def overwrite(users: list[int], direction: Direction) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        return overwrite_mirror(cursor, users, direction)


def test_the_direction_always_leaves_from_the_primary() -> None:
    for route in Route:
        direction = Direction.REVERSE if route.reads_tables else Direction.FORWARD
        assert Direction.of(route) is direction
        direction.must_hold(route)
        other = next(d for d in Direction if d is not direction)
        with pytest.raises(PrimaryMoved, match=f"Copying {other.value} is refused"):
            other.must_hold(route)


@pytest.mark.parametrize(
    ("mirrored", "direction"),
    [(State.DUAL_WRITE, Direction.FORWARD), (State.READ_CUTOVER, Direction.REVERSE)],
)
def test_it_makes_the_mirror_equal_and_a_second_time_writes_no_row(
    site: str, mirrored: State, direction: Direction
) -> None:
    users = add_users(*VARIED)
    go(mirrored)
    if direction is Direction.FORWARD:
        tamper("UPDATE user_preferences SET theme = 'light', residue = '{\"x\": 1}'")
    else:
        tamper("UPDATE accounts_user SET preferences = '{\"x\": 1}'")
    documents = document_texts()
    assert overwrite(users, direction) == len(users)
    assert (differences(), document_texts()) == ([], documents)
    stores = (
        "SELECT xmin::text FROM accounts_user UNION ALL SELECT xmin::text FROM user_preferences"
        " UNION ALL SELECT xmin::text FROM notification_preferences"
    )
    before = sorted(rows(stores))
    assert overwrite(users, direction) == len(users)
    assert sorted(rows(stores)) == before


def test_the_wrong_direction_is_refused_under_the_lock_and_writes_nothing(site: str) -> None:
    [user] = add_users({"theme": "dark"})
    go(State.READ_CUTOVER)
    part_blob(user, {"theme": "light"})
    with pytest.raises(PrimaryMoved):
        overwrite([user], Direction.FORWARD)
    assert document_texts() == ['{"theme": "dark"}']


def test_it_sees_what_was_committed_while_it_waited_for_the_lock(site: str) -> None:
    [user] = add_users({"theme": "dark"})
    go(State.DUAL_WRITE)
    with held_open(lambda: UserPreferences.objects.replace(user, {"theme": "light"})):
        waiting = in_thread(lambda: overwrite([user], Direction.FORWARD))
        while waiting_for_locks() == 0:
            assert not waiting.done()
    assert waiting.result(5) == 1
    assert (document_texts(), differences()) == (['{"theme": "light"}'], [])


@pytest.mark.parametrize("again", [True, False], ids=["ours", "broken: looked through once"])
def test_a_user_who_gets_another_key_under_the_lock_is_not_missed(
    site: str, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = many_users(3)
    go(State.READ_CUTOVER)
    tamper("UPDATE user_preferences SET theme = 'light'")
    if not again:
        ours = repair.overwrite_mirror

        def once(cursor: Any, ids: list[int], way: Direction) -> int:
            ours(cursor, ids, way)
            return len(ids)

        monkeypatch.setattr(repair, "overwrite_mirror", once)

    def equal() -> tuple[int, int]:
        with transaction.atomic(), connection.cursor() as cursor:
            return make_equal(cursor, None, users[-1] + 100, Direction.REVERSE)

    change = f"UPDATE accounts_user SET id = id + 50 WHERE id = {users[0]}"
    with held_open(lambda: rows(change)):
        waiting = in_thread(equal)
        while waiting_for_locks() == 0:
            assert not waiting.done()
    waiting.result(5)
    assert differences() == ([] if again else [users[0] + 50])


def overwrite_often(users: list[int]) -> list[int]:
    return [overwrite(users, Direction.FORWARD) for _ in range(10)]


def test_it_locks_users_in_the_order_of_their_keys(site: str) -> None:
    users = many_users(30)
    go(State.DUAL_WRITE)
    tamper("UPDATE user_preferences SET theme = 'light'")
    both = [in_thread(partial(overwrite_often, ids)) for ids in (users, users[::-1])]
    for future in both:
        assert future.result(20) == [30] * 10


def test_users_that_are_gone_and_no_users_are_nothing_to_do(site: str) -> None:
    assert overwrite([], Direction.FORWARD) == 0
    assert overwrite([4711], Direction.REVERSE) == 0


def test_a_leaf_left_in_the_residue_goes_to_its_column_without_changing_the_document(
    site: str,
) -> None:
    [user] = add_users({"theme": "dark", "x": 1})
    go(State.READ_CUTOVER)
    tamper('UPDATE user_preferences SET theme = NULL, residue = \'{"theme": "dark", "x": 1}\'')
    overwrite([user], Direction.REVERSE)
    assert rows("SELECT theme, residue::text FROM user_preferences") == [("dark", '{"x": 1}')]
    assert blob_texts() == document_texts() == ['{"x": 1, "theme": "dark"}']


def test_users_are_counted_where_the_planner_knows_nothing(site: str) -> None:
    many_users(7)
    assert count_users(ALIAS) == 7
    rows("ANALYZE accounts_user")
    many_users(3)
    assert count_users(ALIAS) == 7

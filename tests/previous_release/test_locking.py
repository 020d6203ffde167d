"""Row locks between the releases: what locks, waits and keeps; what does not lock, loses as ever.

The previous release locks by `select_for_update()`, which is FOR UPDATE; this one by FOR NO KEY
UPDATE of the same row, before anything else.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from prefs.engine.states import State
from prefs.sql.signals import WORKER
from tests.previous_release.conftest import Releases
from tests.previous_release.situations import (
    OURS,
    THEIRS,
    await_lock,
    merged_while_a_switch_is_turned,
    new_user,
)
from tests.previous_release.traffic import CurrentClient, PreviousClient, Traffic
from tests.support import stores
from tests.support.steps import copy_all, in_thread
from tests.support.tampering import turn

ROUTED = [state for state in State if state is not State.DROPPED]
FLIPS = [*pairwise(ROUTED), *pairwise(reversed(ROUTED))]


def assert_both_read(both: Releases, state: State, user: int, document: Any) -> None:
    assert both.previous.ask("read", user=user) == document
    assert both.current.ask("read", user=user) == document
    assert not (state.route.mirrored and stores.differ(user))


def test_a_merge_waits_for_a_locked_save_and_both_survive(both: Releases, state: State) -> None:
    user = new_user(both)
    with both.previous.transaction():
        document = both.previous.ask("lock", user=user)
        merge = in_thread(lambda: both.current.ask("merge", user=user, patch=OURS))
        await_lock("prefs", merge)
        both.previous.ask("change", writer="save", user=user, document={**document, **THEIRS})
    merge.result(30)
    assert_both_read(both, state, user, {**THEIRS, **OURS})


def test_a_locked_save_waits_for_a_merge_and_both_survive(both: Releases, state: State) -> None:
    user = new_user(both)
    with both.current.transaction():
        both.current.ask("merge", user=user, patch=OURS)
        save = in_thread(lambda: both.previous.ask("lock_and_set", user=user, leaves=THEIRS))
        await_lock("shop", save)
    save.result(30)
    assert_both_read(both, state, user, {**THEIRS, **OURS})


@pytest.mark.parametrize(("before", "after"), FLIPS)
def test_a_write_that_waits_while_a_switch_is_turned_goes_through(
    both: Releases, before: State, after: State
) -> None:
    user = merged_while_a_switch_is_turned(both, before, after)
    assert both.current.ask("read", user=user) == OURS


def test_a_backfill_yields_to_a_locked_save(both: Releases) -> None:
    turn(State.EXPANDED.route)
    user = new_user(both)
    turn(State.DUAL_WRITE.route)
    with both.previous.transaction():
        both.previous.ask("lock", user=user)
        backfill = in_thread(copy_all)
        await_lock(WORKER, backfill)
        both.previous.ask("change", writer="save", user=user, document=THEIRS)
        assert not backfill.done()
    backfill.result(30)
    assert_both_read(both, State.DUAL_WRITE, user, THEIRS)


def test_they_never_deadlock_over_one_user(both: Releases, state: State) -> None:
    user = new_user(both)
    clients = [
        PreviousClient([user], "items_per_page", (10, 25)),
        CurrentClient([user], "theme", ("light", "dark")),
    ]
    workers = (both.previous, both.current)
    for client, writer, reader in zip(clients, workers, workers[::-1], strict=True):
        client.writer, client.reader = writer, reader
    at_work = [Traffic(client) for client in clients]
    if not state.route.reads_tables:
        copy_all()
    for traffic in at_work:
        traffic.await_writes(40)
        traffic.stop()
    for client in clients:
        assert client.check(client.reader) == []


@pytest.mark.parametrize("other", ["previous", "current"])
def test_a_stale_document_overwrites_what_came_between_whoever_wrote_it(
    both: Releases, state: State, other: str
) -> None:
    """The previous release's own lost update: without a lock it always wrote what it had read."""
    user = new_user(both)
    stale = both.previous.ask("read", user=user)
    if other == "previous":
        both.previous.ask("lock_and_set", user=user, leaves=OURS)
    else:
        both.current.ask("merge", user=user, patch=OURS)
    both.previous.ask("change", writer="save", user=user, document={**stale, **THEIRS})
    assert_both_read(both, state, user, THEIRS)


def test_so_does_a_stale_instance_that_is_saved_for_another_field(
    both: Releases, state: State
) -> None:
    user = new_user(both)
    both.previous.ask("keep", user=user)
    both.current.ask("merge", user=user, patch=OURS)
    both.previous.ask("rename_kept", user=user, name="Ada")
    assert_both_read(both, state, user, {})

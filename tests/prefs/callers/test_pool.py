"""Connections from psycopg's pool: they come back as they went out."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.db import close_old_connections, connection, transaction

from prefs.codec import InvalidDocument
from prefs.engine.states import State
from prefs.models import UserPreferences
from tests.prefs.callers.sessions import left_behind
from tests.prefs.callers.writing import every_write
from tests.support import scratch
from tests.support.reaching import environment, reached, wrapper
from tests.support.steps import (
    add_users,
    differences,
    document_texts,
    go,
    held_open,
    in_thread,
    many_users,
    state,
    take,
    until,
)
from tests.support.stores import query

SIZE = 3
POOL = {"min_size": SIZE, "max_size": SIZE, "timeout": 20}


@pytest.fixture
def pooled(site: str) -> Iterator[list[tuple[Any, ...]]]:
    """Django's connections of this process from a pool; what a new one of them is set to."""
    with reached(OPTIONS={"pool": POOL}, CONN_MAX_AGE=0):
        yield left_behind()


def as_new(before: list[tuple[Any, ...]]) -> None:
    """Every connection of the pool is set as a new one is, and none is lent."""
    connection.close()
    assert wrapper().pool.get_stats()["pool_size"] == SIZE
    pids = set()
    for _ in range(4 * SIZE):
        assert left_behind() == before
        pids.add(query("SELECT pg_backend_pid()")[0][0])
        connection.close()
    assert len(pids) == SIZE


def request(work: Any) -> None:
    """Do the work as a request's thread does, which gives its connection back."""
    try:
        work()
    finally:
        connection.close()
        close_old_connections()


@pytest.mark.slow
@every_write
def test_more_writers_than_connections(pooled: list[tuple[Any, ...]], write: Any) -> None:
    """Each request leaves a key of its own; errors and rollbacks are between them."""
    users = add_users({}, {})

    def spoil(user: int) -> None:
        with pytest.raises(InvalidDocument):
            UserPreferences.objects.merge(user, {"theme": "mauve"})
        with transaction.atomic():
            write(user, {"undone": 1})
            transaction.set_rollback(True)

    for target in (State.DUAL_WRITE, State.READ_CUTOVER, State.MIRROR_OFF):
        go(target)
        connection.close()
        with ThreadPoolExecutor(4 * SIZE) as threads:
            jobs = [partial(write, user, {f"{target} {n}": n}) for n in range(10) for user in users]
            jobs += [partial(spoil, user) for user in users]
            list(threads.map(request, jobs))
        as_new(pooled)
    for user in users:
        assert len(UserPreferences.objects.document(user)) == 30


def test_the_whole_way_and_back(pooled: list[tuple[Any, ...]]) -> None:
    many_users(30)
    before = document_texts()
    go(State.DROPPED)
    assert document_texts() == before
    as_new(pooled)
    go(State.EXPANDED)
    assert document_texts() == before
    as_new(pooled)


def test_a_drain_waits_for_a_writer_on_a_lent_connection(pooled: list[tuple[Any, ...]]) -> None:
    [user] = add_users({})
    with held_open(partial(UserPreferences.objects.merge, user, {"open": 1})):
        flip = in_thread(partial(take, State.DUAL_WRITE))
        until(lambda: state() is State.DUAL_WRITE)
        assert not flip.done()
    taken = flip.result(20)
    assert taken is not None
    assert taken.settled_at is not None
    as_new(pooled)


def test_commands_with_a_pool(site: str) -> None:
    many_users(50)
    environ = environment(site, {"OPTIONS": {"pool": True}}, cutover_soak=0, contract_soak=0)
    for command in (
        ["advance_prefs", "--noinput", "--to", "dual_write"],
        ["backfill_prefs", "--batch-size", "10"],
        ["verify_prefs"],
        ["advance_prefs", "--noinput", "--to", "read_cutover"],
        ["status_prefs", "--check"],
    ):
        outcome = scratch.manage(environ, *command)
        assert outcome.returncode == 0, outcome.stderr
    assert state() is State.READ_CUTOVER
    assert differences() == []

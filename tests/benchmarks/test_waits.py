"""What is looked for beside live traffic is found: a wait for a lock of ours, and no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from django.db import connection

from benchmarks.databases import OURS, Databases
from benchmarks.traffic import APPLICATION
from benchmarks.waits import Waits
from project.embedded.cluster import Address
from tests.support import scratch

_HELD = 0.3


@pytest.fixture
def databases() -> Iterator[Databases]:
    connection.get_connection_params()
    where = connection.settings_dict
    address = Address(
        programs=Path(),
        host=where["HOST"],
        port=where["PORT"],
        user=where["USER"],
        password=where["PASSWORD"],
    )
    with closing(Databases(address)) as databases:
        yield databases


@pytest.fixture
def database() -> Iterator[str]:
    with scratch.database() as name:
        yield name


def wait_for(database: str, blocker: str, waiter: str) -> None:
    """Have a session named `waiter` wait for one named `blocker`, for a moment."""
    with (
        scratch.connect(database, blocker) as holding,
        scratch.connect(database, waiter) as waiting,
    ):
        holding.execute("SELECT pg_advisory_lock(1)")
        thread = threading.Thread(target=lambda: waiting.execute("SELECT pg_advisory_xact_lock(1)"))
        thread.start()
        time.sleep(_HELD)
        holding.execute("SELECT pg_advisory_unlock(1)")
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("blocker", [OURS, "prefs", "prefs worker"])
def test_a_wait_of_live_traffic_for_a_session_of_ours_is_seen(
    databases: Databases, database: str, blocker: str
) -> None:
    with Waits(databases, database) as waits:
        wait_for(database, blocker, APPLICATION)
    assert waits.seen == 1
    assert waits.longest > _HELD * 1000 / 2


@pytest.mark.parametrize(
    ("blocker", "waiter"), [(APPLICATION, APPLICATION), (OURS, OURS), ("a stranger", APPLICATION)]
)
def test_a_wait_for_anybody_else_or_of_ours_is_not(
    databases: Databases, database: str, blocker: str, waiter: str
) -> None:
    with Waits(databases, database) as waits:
        wait_for(database, blocker, waiter)
    assert (waits.seen, waits.longest) == (0, 0.0)

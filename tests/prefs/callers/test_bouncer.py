"""Behind PgBouncer in transaction mode: a few server connections, many clients, no session."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.db import OperationalError, connection, transaction

from prefs.engine.states import State
from prefs.models import Range, Run, Transition, UserPreferences
from tests.prefs.callers.bouncer import Bouncer, bouncing, version
from tests.prefs.callers.writing import change, merge, replace
from tests.support import scratch
from tests.support.needs import PGBOUNCER, Need, needs, pgbouncer
from tests.support.reaching import environment, reached
from tests.support.steps import (
    add_users,
    document_texts,
    go,
    held_open,
    in_thread,
    many_users,
    state,
    take,
    until,
    value,
)

pytestmark = needs(PGBOUNCER)
# PgBouncer follows prepared statements since 1.21; before, and with 0, the site must have none.
FOLLOWS = Need(
    name="pgbouncer 1.21 or later",
    remedy="Debian 13 has it",
    is_met=lambda: pgbouncer() is not None and version() >= (1, 21),
)
PREPARED = (
    pytest.param(({}, {}), id="none"),
    pytest.param(({}, {"server_side_binding": True}), id="bound by the server"),
    pytest.param(
        (
            {"max_prepared_statements": 50},
            {"server_side_binding": True, "prepare_threshold": 0},
        ),
        id="followed",
        marks=needs(FOLLOWS),
    ),
)


@pytest.fixture(params=PREPARED)
def bounced(request: pytest.FixtureRequest, site: str) -> Iterator[Bouncer]:
    """Django's connections by a PgBouncer."""
    settings, options = request.param
    with bouncing(**settings) as bouncer, reached(**bouncer.settings, OPTIONS=options):
        yield bouncer


def write_and_leave(number: int, user: int, key: str) -> None:
    """Write in one of the ways, as a request's thread does, which gives its connection back."""
    try:
        (merge, replace, change)[number % 3](user, {key: number})
    finally:
        connection.close()


def test_many_clients_on_few_connections_lose_nothing(bounced: Bouncer) -> None:
    users = add_users({}, {})
    for target in (State.DUAL_WRITE, State.READ_CUTOVER, State.MIRROR_OFF, State.READ_CUTOVER):
        go(target)
        with ThreadPoolExecutor(12) as threads:
            key = str(Transition.objects.count())
            jobs = [(n, user, f"{key} {n}") for n in range(12) for user in users]
            list(threads.map(lambda job: write_and_leave(*job), jobs))
    for user in users:
        assert len(UserPreferences.objects.document(user)) == 48
    assert value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()") <= 3


def test_clients_that_write_all_the_way_and_back(bounced: Bouncer) -> None:
    """Each counts up a key of its own, while another client takes the transitions."""
    users, ended = add_users({}, {}, {}), threading.Event()

    def count_up(user: int) -> int:
        number = 0
        while not ended.is_set():
            number += 1
            with transaction.atomic():
                UserPreferences.objects.merge(user, {"count": number, "theme": "dark"})
                assert UserPreferences.objects.document(user)["count"] == number
        return number

    counting = [in_thread(partial(count_up, user)) for user in users]
    try:
        go(State.DROPPED)
        go(State.EXPANDED)
    finally:
        ended.set()
    for user, count in zip(users, counting, strict=True):
        expected = {"theme": "dark", "count": count.result(20)}
        assert UserPreferences.objects.document(user) == expected


def test_a_drain_waits_for_a_client_in_a_transaction(bounced: Bouncer) -> None:
    [user] = add_users({})
    with held_open(partial(UserPreferences.objects.merge, user, {"open": 1})):
        flip = in_thread(partial(take, State.DUAL_WRITE))
        until(lambda: state() is State.DUAL_WRITE)
        assert not flip.done()
    taken = flip.result(20)
    assert taken is not None
    assert taken.settled_at is not None


COMMANDS = [
    *(["advance_prefs", "--to", "dual_write"], ["backfill_prefs"], ["verify_prefs"]),
    *(["advance_prefs", "--to", "read_cutover"], ["verify_prefs"]),
    *(["advance_prefs", "--to", "mirror_off"], ["advance_prefs", "--to", "dropped"]),
    *(["rollback_prefs", "--to", "mirror_off"], ["rollback_prefs", "--to", "read_cutover"]),
    *(["backfill_prefs", "--reverse"], ["verify_prefs"]),
    *(["rollback_prefs", "--to", "dual_write"], ["rollback_prefs", "--to", "expanded"]),
]


OTHERS = """SELECT count(*) FROM pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid()
  AND backend_type = 'client backend'"""


def by(bouncer: Bouncer, site: str) -> dict[str, str]:
    return environment(site, bouncer.settings, cutover_soak=0, contract_soak=0, lease=1)


def test_the_whole_way_and_back_by_commands(site: str) -> None:
    many_users(200)
    before = document_texts()
    connection.close()
    with bouncing() as bouncer:
        for command in COMMANDS:
            asked = [] if command[0] in ("backfill_prefs", "verify_prefs") else ["--noinput"]
            outcome = scratch.manage(by(bouncer, site), *command, *asked)
            assert outcome.returncode == 0, (command, outcome.stdout, outcome.stderr)
            assert document_texts() == before
            # A server connection that no client came to use has no name, and holds up a gate.
            bouncer.console("RECONNECT")
            until(lambda: value(OTHERS) == 0)
            connection.close()
    assert state() is State.EXPANDED


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda n: n.name)
def test_a_backfill_that_is_killed_gives_its_lease_up_and_resumes(
    site: str, number: signal.Signals
) -> None:
    many_users(80)
    slow = ("backfill_prefs", "--batch-size", "5", "--max-rate", "50")
    with bouncing() as bouncer:
        with scratch.start(by(bouncer, site), *slow) as process:
            until(lambda: Range.objects.filter(batches__gt=0).exists(), 20)
            process.send_signal(number)
            process.communicate(timeout=20)
        copied = value("SELECT count(*) FROM user_preferences")
        assert 0 < copied < 80
        until(lambda: scratch.manage(by(bouncer, site), "backfill_prefs").returncode != 5, 20)
    run = Run.objects.get()
    assert (run.status, run.users, run.copied) == ("done", 80, 80)


def test_in_statement_mode_a_write_fails_loudly_and_changes_nothing(site: str) -> None:
    [user] = add_users({"theme": "light"})
    with bouncing(pool_mode="statement") as bouncer, reached(**bouncer.settings):
        assert UserPreferences.objects.document(user) == {"theme": "light"}
        with pytest.raises(OperationalError, match="transaction blocks not allowed"):
            UserPreferences.objects.merge(user, {"theme": "dark"})
        connection.close()
        with pytest.raises(OperationalError, match="transaction blocks not allowed"):
            take(State.DUAL_WRITE)
        connection.close()
        assert UserPreferences.objects.document(user) == {"theme": "light"}
    assert state() is State.EXPANDED

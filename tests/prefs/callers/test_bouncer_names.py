"""The session gates behind PgBouncer: a server connection has the name of who used it last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prefs.engine.findings import Finding
from prefs.engine.states import Gate, State
from tests.prefs.callers.bouncer import Bouncer, bouncing
from tests.support import scratch
from tests.support.needs import PGBOUNCER, needs
from tests.support.reaching import reached
from tests.support.refusals import finding
from tests.support.steps import go, rows, until

pytestmark = needs(PGBOUNCER)
OLD = "previous release"


@contextmanager
def soaking(site: str, **settings: object) -> Iterator[Bouncer]:
    """A site before `mirror_off`, whose sessions all come by a PgBouncer."""
    go(State.READ_CUTOVER)
    with bouncing(**settings) as bouncer, reached(**bouncer.settings):
        yield bouncer


def gate() -> Finding:
    return finding(Gate.NO_PREVIOUS_RELEASE, State.MIRROR_OFF)


def test_it_finds_a_client_of_the_previous_release_that_works(site: str) -> None:
    with soaking(site) as bouncer, bouncer.connect(site, OLD) as old:
        old.execute("BEGIN")
        old.execute("SELECT 1")
        assert OLD in gate().found
        assert not gate().met
        old.execute("COMMIT")


def test_one_that_is_idle_is_on_the_bouncer_s_list_alone(site: str) -> None:
    with soaking(site, default_pool_size=1) as bouncer, bouncer.connect(site, OLD) as old:
        old.execute("SELECT 1")
        assert gate().met
        clients = {client["application_name"] for client in bouncer.console("SHOW CLIENTS")}
        assert {OLD, "prefs"} <= clients


def test_what_the_previous_release_left_behind_is_closed_by_reconnect(site: str) -> None:
    with soaking(site) as bouncer:
        rows("SELECT 1")
        with held(bouncer, site, "prefs"), bouncer.connect(site, OLD) as old:
            old.execute("SELECT 1")
        until(lambda: OLD in gate().found)
        bouncer.console("RECONNECT")
        until(lambda: gate().met)


@contextmanager
def held(bouncer: Bouncer, site: str, name: str) -> Iterator[scratch.Session]:
    """A client in a transaction, who keeps the server connection that was free."""
    with bouncer.connect(site, name) as session:
        session.execute("BEGIN")
        session.execute("SELECT 1")
        yield session
        session.execute("COMMIT")


def test_a_client_without_a_name_is_seen_for_one_where_the_host_is_added(site: str) -> None:
    """Else PgBouncer 1.18 leaves such a client the name of whoever was on the connection before."""
    go(State.READ_CUTOVER)
    with bouncing(application_name_add_host=1, default_pool_size=1) as bouncer:
        with held(bouncer, site, "prefs"):
            assert gate().met
        with held(bouncer, site, ""):
            found = gate()
    assert not found.met
    assert "(app - " in found.found


def test_connections_that_nobody_has_used_yet_are_unnamed_and_hold_the_gate_up(site: str) -> None:
    """The gate is asked by a connection of its own, so that nobody uses them."""
    go(State.READ_CUTOVER)
    with bouncing(min_pool_size=2) as bouncer, bouncer.connect(site, "prefs"):
        until(lambda: gate().figures["sessions"] == 2)
        assert gate().found.count("(unnamed, ") == 2

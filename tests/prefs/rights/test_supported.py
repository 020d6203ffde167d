"""Case B13: tables that the protocol does not hold for are refused, before anything is built."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections

from prefs.engine.conditions.sessions import foreign_sessions
from prefs.engine.states import Gate, State
from prefs.engine.supported import unsupported
from project.embedded.account import server_account
from tests.chaos import cluster
from tests.support import scratch
from tests.support.refusals import assert_refused, finding
from tests.support.running import run
from tests.support.steps import ALIAS, add_users, rows

UNSUPPORTED = {
    "unlogged users": (
        "ALTER TABLE user_preferences DROP CONSTRAINT user_preferences_user_id_fkey;"
        "ALTER TABLE user_preferences SET UNLOGGED",
        "user_preferences is unlogged: a crash empties it",
    ),
    "unlogged switches": (
        "ALTER TABLE waffle_switch SET UNLOGGED",
        "waffle_switch is unlogged: a crash empties it",
    ),
    "inherited users": (
        "CREATE TABLE old_users () INHERITS (accounts_user)",
        "accounts_user inherits, or is inherited",
    ),
    "users in Citus's hands": (
        "CREATE TABLE pg_dist_partition (logicalrelid regclass);"
        "INSERT INTO pg_dist_partition VALUES ('accounts_user'::regclass)",
        "accounts_user is managed by Citus",
    ),
    "a typed table in Citus's hands": (
        "CREATE TABLE pg_dist_partition (logicalrelid regclass);"
        "INSERT INTO pg_dist_partition VALUES ('notification_preferences'::regclass)",
        "notification_preferences is managed by Citus",
    ),
}


@pytest.mark.parametrize("what", UNSUPPORTED)
def test_it_is_refused_by_the_gate_and_named_by_the_check(site: str, what: str) -> None:
    """Case B13 and its kind: the gate supported_tables, check --database and status_prefs."""
    statements, said = UNSUPPORTED[what]
    add_users({"theme": "dark"})
    for statement in statements.split(";"):
        rows(statement)
    assert_refused(Gate.SUPPORTED_TABLES, State.DUAL_WRITE, said)
    for command in (("check", "--database", "default"), ("status_prefs",)):
        found = run(*command)
        assert found.status == 1
        assert f"the table {said}" in found.out + found.err
        assert "docs/scaling.md" in found.out + found.err


def test_an_ordinary_site_is_supported(site: str) -> None:
    assert unsupported(ALIAS) == []
    assert finding(Gate.SUPPORTED_TABLES, State.DUAL_WRITE).met


BEFORE = {
    "hash": "PARTITION BY HASH (id)",
    "range": "PARTITION BY RANGE (id)",
}


@pytest.mark.slow
def test_a_replica_is_named_as_one(site: str) -> None:
    """Case B13, the kind: a hot standby, as a replica's alias leads to it."""
    with cluster.running() as server, standby(server) as port:
        settings = {**connection.settings_dict, **server.database(), "PORT": str(port)}
        connections.settings["standby"] = {**settings, "NAME": "postgres"}
        try:
            assert unsupported("standby") == ["this server is a replica"]
        finally:
            connections["standby"].close()
            del connections["standby"], connections.settings["standby"]


@contextmanager
def standby(server: cluster.Server) -> Iterator[int]:
    """A hot standby of that server, on a port of its own beside its socket."""
    account, address = server_account(), server.address
    programs, port = address.programs, int(address.port) + 1

    def ran(program: str, *arguments: str | Path) -> None:
        done = account.run([programs / program, *arguments])
        assert done.returncode == 0, done.stdout

    with tempfile.TemporaryDirectory() as folder:
        account.own(Path(folder), 0o700)
        data = Path(folder) / "data"
        where = f"host={address.host} port={address.port} user={address.user}"
        primary = f"{where} password={address.password}"
        ran("pg_basebackup", "-D", data, "-R", "-c", "fast", "-d", primary)
        options = f"{server.options} -p {port}"
        ran("pg_ctl", "start", "-w", "-D", data, "-l", Path(folder) / "log", "-o", options)
        try:
            yield port
        finally:
            ran("pg_ctl", "stop", "-m", "immediate", "-D", data)


@pytest.mark.parametrize("how", BEFORE)
def test_partitioned_users_are_refused_by_migrate_before_anything_is_built(
    site: str, how: str
) -> None:
    """Case B13: a writer that names a partition passed the drain."""
    call_command("migrate", "prefs", "zero", verbosity=0)
    rows("ALTER TABLE accounts_user RENAME TO old_users")
    rows(f"CREATE TABLE accounts_user (LIKE old_users) {BEFORE[how]}")
    found = run("migrate", "prefs")
    assert found.status == 4
    assert "the table accounts_user is partitioned" in found.err
    assert "Nothing was changed" in found.err
    assert rows("SELECT to_regclass('user_preferences'), to_regprocedure('prefs_capture()')") == [
        (None, None)
    ]


def test_foreign_users_are_refused_by_migrate(site: str) -> None:
    """Case B13: users that are in another database."""
    call_command("migrate", "prefs", "zero", verbosity=0)
    rows("ALTER TABLE accounts_user RENAME TO old_users")
    rows("CREATE FOREIGN DATA WRAPPER nowhere")
    rows("CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere")
    rows("CREATE FOREIGN TABLE accounts_user (id bigint, preferences jsonb) SERVER elsewhere")
    with pytest.raises(CommandError, match="the table accounts_user is a foreign table"):
        call_command("migrate", "prefs", verbosity=0)


def test_a_session_of_citus_is_none_of_the_previous_release(site: str) -> None:
    """Workers of Citus connect back under a name of their own."""
    with scratch.connect(site, "citus_internal gpid=10000000123"):
        found = foreign_sessions(ALIAS, frozenset())
        assert found == []
    with scratch.connect(site, "citus"):
        assert len(foreign_sessions(ALIAS, frozenset())) == 1

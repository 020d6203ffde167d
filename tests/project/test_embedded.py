"""The embedded server: shared, hard to stop under others, and easy to bring back.

Each test has a project folder, and so a server, of its own.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from project.embedded import EmbeddedPostgresError, server
from project.embedded.cluster import Address
from tests.project.servers import ROOT, another_user, connect, postmaster, said, wait_for_end
from tests.support.needs import LINUX, needs

pytestmark = pytest.mark.slow


def show(address: Address, *names: str) -> list[str]:
    with connect(address) as connection:
        rows = [connection.execute(f"SHOW {name}").fetchone() for name in names]
    return [row[0] for row in rows if row]


def test_simultaneous_starters_share_one_server(project: Path) -> None:
    with (
        another_user(project) as a,
        another_user(project) as b,
        another_user(project) as c,
        another_user(project) as d,
    ):
        started = {said(process) for process in (a, b, c, d)}
    assert len(started) == 1
    assert "" not in started


def test_the_server_is_configured_for_the_tests_it_serves(project: Path) -> None:
    address = server.use(project, "prefs")
    names = ("max_prepared_transactions", "max_connections", "fsync", "listen_addresses")
    assert show(address, *names) == ["20", "200", "on", ""]
    assert show(address, "server_encoding", "password_encryption") == ["UTF8", "scram-sha-256"]
    with connect(address) as connection:
        iterations = "1" if connection.info.server_version >= 160000 else "4096"
        [(password,)] = connection.execute(
            "SELECT rolpassword FROM pg_authid WHERE rolname = current_user"
        )
    assert str(password).startswith(f"SCRAM-SHA-256${iterations}:")


def test_a_wrong_password_is_refused(project: Path) -> None:
    address = server.use(project, "prefs")
    wrong = Address(
        programs=address.programs,
        host=address.host,
        port=address.port,
        user=address.user,
        password="wrong",
    )
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(wrong)


def test_a_refused_stop_names_who_is_connected(project: Path) -> None:
    with another_user(project) as user:
        said(user)
        with pytest.raises(server.ServerInUseError) as refused:
            server.stop(project)
        sessions = server.status(project).sessions
        assert [session.application_name for session in sessions] == ["prefs tester"]
        assert f"{sessions[0].pid} (prefs tester)" in str(refused.value)
        if sys.platform == "linux":
            assert f"{user.pid} (" in str(refused.value)
        server.stop_if_unused(project)
        assert server.status(project).running
    assert server.stop(project) is True
    assert server.stop(project) is False
    assert not server.status(project).running


def test_a_user_that_has_no_session_open_is_named_too(project: Path) -> None:
    server.use(project)
    with pytest.raises(server.ServerInUseError, match=f"none at the moment.*{os.getpid()} "):
        server.stop(project)


def test_a_forked_child_keeps_the_server_for_itself(project: Path) -> None:
    program = (
        "import os, sys, time\nfrom pathlib import Path\nfrom project.embedded import server\n"
        "server.use(Path(sys.argv[1]))\n"
        "if os.fork(): os._exit(0)\n"
        "print(flush=True)\nsys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(project)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as parent:
        said(parent)
        parent.wait(timeout=30)
        with pytest.raises(server.ServerInUseError):
            server.stop(project)
        parent.communicate(timeout=30)
    assert server.stop(project) is True


def test_a_server_started_by_name_is_stopped_by_name_only(project: Path) -> None:
    assert server.start(project).running
    server.stop_if_unused(project)
    assert server.status(project).running
    assert server.stop(project) is True
    server.use(project)
    server.leave(project)
    server.stop_if_unused(project)
    assert not server.status(project).running


def test_data_outlives_a_stop(project: Path) -> None:
    with connect(server.use(project, "prefs")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'here' AS what")
    server.leave(project)
    server.stop(project)
    with connect(server.use(project, "prefs")) as connection:
        assert connection.execute("SELECT what FROM kept").fetchone() == ("here",)


def test_a_killed_server_comes_back_on_the_next_use(project: Path) -> None:
    with connect(server.use(project, "prefs")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'here' AS what")
        connection.commit()
        killed = postmaster(project)
        # One session is open meanwhile, and outlives its server for a moment.
        os.kill(killed, signal.SIGKILL)
        wait_for_end(killed)
        with connect(server.use(project, "prefs")) as again:
            assert again.execute("SELECT what FROM kept").fetchone() == ("here",)
    assert postmaster(project) != killed


@needs(LINUX)
def test_a_pid_file_with_the_number_of_another_program_is_no_server(project: Path) -> None:
    data = server.start(project).data
    killed = postmaster(project)
    os.kill(killed, signal.SIGKILL)
    wait_for_end(killed)
    # A process of the server's own account, which PostgreSQL would take for a server.
    sleeper = subprocess.Popen(
        ["sleep", "60"], user=data.stat().st_uid if os.geteuid() == 0 else None
    )
    try:
        pid_file = data / "postmaster.pid"
        pid_file.write_text(pid_file.read_text().replace(str(killed), str(sleeper.pid), 1))
        assert server.start(project).running
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_an_initdb_that_was_cut_short_is_begun_anew(project: Path) -> None:
    status = server.status(project)
    unfinished = status.data.with_name("data.new")
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    assert server.start(project).running
    assert not unfinished.exists()


def test_a_ctrl_c_in_the_terminal_does_not_reach_the_server(project: Path) -> None:
    server.start(project)
    assert os.getsid(postmaster(project)) != os.getsid(0)


def test_a_server_that_cannot_start_gives_its_reason_at_once(project: Path) -> None:
    data = server.start(project).data
    server.stop(project)
    configuration = data / "postgresql.conf"
    sound = configuration.read_text()
    configuration.write_text("no_such_setting = on\n")
    begun = time.monotonic()
    with pytest.raises(EmbeddedPostgresError, match=r"did not start: .*FATAL.*Its log is"):
        server.start(project)
    assert time.monotonic() - begun < 20
    configuration.write_text(sound)
    assert server.start(project).running

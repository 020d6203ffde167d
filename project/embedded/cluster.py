"""One data directory and the PostgreSQL server on it.

The caller holds the starters' lock. A data directory is complete or absent; a server counts
as ours only if a connection to its socket finds our own data directory behind it.
"""

import os
import shlex
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from project.embedded import EmbeddedPostgresError
from project.embedded.places import Places
from project.embedded.programs import Programs

PORT = "5432"
USER = "prefs"
OPTIONS = {
    # Nothing listens on a network; the socket is in a private folder.
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    # Two-phase commit is off by default; sites use it, so the tests do too.
    "max_prepared_transactions": "20",
}
START_SECONDS = 60
# Greater than any process number that a system gives.
NOBODYS_PID = 99_999_999
# Sessions outlive a killed postmaster for a moment, and a new one waits for their memory.
SESSIONS_LINGER = "pre-existing shared memory block"


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the server is, how to log in, and where its programs are."""

    programs: Path
    host: str
    port: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Session:
    """A session on the server: the pid of its backend, and what it calls itself."""

    pid: int
    application_name: str


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A server that may or may not run."""

    places: Places
    programs: Programs

    def alive(self) -> bool:
        """Tell whether the pid file's process is a server; it may not be ready yet."""
        pid = _first_number(self.places.data / "postmaster.pid")
        return pid is not None and _is_server(pid)

    def answers(self) -> bool:
        """Tell whether a connection reaches a server on our data directory."""
        return self.places.socket() is not None and self._connection_error() is None

    def start(self) -> Address:
        """Start the server unless it runs.

        Raises:
            EmbeddedPostgresError: it did not start; the message has PostgreSQL's reason.
        """
        if not self.answers():
            if not self.places.data.exists():
                self._initialise()
            if not self.alive():
                self._disown_stranger()
                self.places.keep.unlink(missing_ok=True)
                self.places.begin_log()
            self._wait_until_ready()
        return self._address()

    def stop(self) -> bool:
        """Stop the server; say whether it ran."""
        running = self.alive()
        if running:
            done = self._pg_ctl("stop", "-m", "fast")
            if done:
                raise EmbeddedPostgresError(f"PostgreSQL could not be stopped: {done}")
        if folder := self.places.socket():
            shutil.rmtree(folder, ignore_errors=True)
        return running

    def create_database(self, name: str) -> None:
        """Create a database unless it exists."""
        with self._connect() as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if not found.fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def sessions(self) -> tuple[Session, ...]:
        """List the sessions of others."""
        with self._connect() as connection:
            rows = connection.execute(
                "SELECT pid, application_name FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY pid"
            ).fetchall()
        return tuple(Session(pid=pid, application_name=name) for pid, name in rows)

    def _address(self) -> Address:
        return Address(
            programs=self.programs.folder,
            host=str(self.places.make_socket()),
            port=PORT,
            user=USER,
            password=self.places.password.read_text(encoding="utf-8"),
        )

    def _connect(self) -> "psycopg.Connection[TupleRow]":
        address = self._address()
        return psycopg.connect(
            host=address.host,
            port=address.port,
            user=address.user,
            password=address.password,
            dbname="postgres",
            application_name="prefs embedded server",
            connect_timeout=10,
            autocommit=True,
        )

    def _connection_error(self) -> str | None:
        try:
            with self._connect() as connection:
                shown = connection.execute("SHOW data_directory").fetchone()
            if shown and self.places.data.samefile(str(shown[0])):
                return None
        except (psycopg.OperationalError, OSError) as error:
            return str(error)
        return f"the server on its socket has other data ({shown})"

    def _initialise(self) -> None:
        unfinished = self.places.folder / "data.new"
        result = ""
        # Not every system has C.UTF-8, and C knows ASCII only: second best.
        for locale in ("C.UTF-8", "C"):
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(mode=0o700)
            self.places.account.own(unfinished, 0o700)
            done = self.places.account.run(
                [
                    *(self.programs.folder / "initdb", "-D", unfinished, "-U", USER),
                    *("-A", "scram-sha-256", f"--pwfile={self.places.password}"),
                    *("-E", "UTF8", f"--locale={locale}"),
                    *self._initial_settings(),
                ]
            )
            if done.returncode == 0:
                unfinished.rename(self.places.data)
                return
            result = done.stdout
        raise EmbeddedPostgresError(f"initdb could not make {self.places.data}: {_last(result)}")

    def _initial_settings(self) -> list[str]:
        # The password is random: iterations would keep nobody out, and slow each connection down.
        # PostgreSQL 15 has no such setting.
        return ["-c", "scram_iterations=1"] if self.programs.major >= 16 else []

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while (problem := self._connection_error()) is not None:
            # One that is alive but does not answer is recovering: another start would fail.
            if not self.alive() and (refusal := self._launch()):
                if SESSIONS_LINGER not in refusal:
                    deadline = 0
                problem = refusal
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"The embedded PostgreSQL did not start: {problem}. Its log is"
                    f" {self.places.log}; `manage.py embedded_postgres remove` deletes its data."
                )
            time.sleep(0.02)

    def _launch(self) -> str:
        """Start the server; return PostgreSQL's reason if it refuses, or an empty string."""
        problem = self._pg_ctl("start", "-l", self.places.log, "-o", self._options())
        if not problem:
            return ""
        lines = self.places.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line for line in reversed(lines) if "FATAL" in line), problem)

    def _options(self) -> str:
        options = {**OPTIONS, "port": PORT}
        options["unix_socket_directories"] = str(self.places.make_socket())
        return shlex.join(f"--{name}={value}" for name, value in options.items())

    def _pg_ctl(self, action: str, *arguments: str | Path) -> str:
        """Run pg_ctl to the end; return what went wrong, or an empty string."""
        command = [self.programs.folder / "pg_ctl", action, "-D", self.places.data, *arguments]
        done = self.places.account.run([*command, "-w", "-t", str(START_SECONDS)])
        return "" if done.returncode == 0 else _last(done.stdout) or f"pg_ctl {action} failed"

    def _disown_stranger(self) -> None:
        """Take from a dead server's pid file a number that is now somebody else's.

        PostgreSQL holds any process of its own account for a server: a zombie, or anything
        after the restart of a container, where numbers begin again. The rest of the file
        stays, for by it PostgreSQL finds sessions that have outlived their server.
        """
        path = self.places.data / "postmaster.pid"
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            path.write_text(f"{NOBODYS_PID}\n" + "".join(lines[1:]), encoding="utf-8")
        # The socket has a lock file of the same kind.
        if folder := self.places.socket():
            shutil.rmtree(folder)


def _first_number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _is_server(pid: int) -> bool:
    try:
        # "4321 (postgres) S …": a zombie (Z) serves nobody.
        words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()
    except OSError:
        return not Path("/proc/self").exists() and _exists(pid)
    return words[1] == "(postgres)" and words[2] != "Z"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _last(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else ""

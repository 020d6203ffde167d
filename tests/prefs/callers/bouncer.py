"""PgBouncer in front of the tests' server, in a folder of its own, as an ordinary account."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection

from project.embedded.account import server_account
from tests.support import scratch
from tests.support.needs import pgbouncer

# It names the socket; nothing listens on TCP, so no port can be taken.
_PORT = 6432
_PATIENCE = 20.0


@dataclass(frozen=True, kw_only=True)
class Bouncer:
    """A running one: where it is, and who may come in."""

    folder: Path
    user: str
    password: str

    @property
    def settings(self) -> dict[str, Any]:
        """Django's settings for a database that is reached by it."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": str(self.folder),
            "PORT": _PORT,
            "USER": self.user,
            "PASSWORD": self.password,
            "DISABLE_SERVER_SIDE_CURSORS": True,
        }

    def connect(self, database: str, application: str) -> scratch.Session:
        """A session of another program, by way of it."""
        return psycopg.connect(
            host=str(self.folder),
            port=_PORT,
            user=self.user,
            password=self.password,
            dbname=database,
            application_name=application,
            autocommit=True,
            # Its own console knows no parameters, and no prepared statements.
            prepare_threshold=None,
            cursor_factory=psycopg.ClientCursor,
        )

    def console(self, command: str) -> list[dict[str, Any]]:
        """What its console answers, such as SHOW CLIENTS."""
        with self.connect("pgbouncer", "prefs tester") as session:
            cursor = session.execute(command.encode())
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor] if names else []


def _program() -> str:
    found = pgbouncer()
    assert found is not None, "say needs(PGBOUNCER)"
    return found


def version() -> tuple[int, ...]:
    """Which PgBouncer this is."""
    said = subprocess.run([_program(), "--version"], capture_output=True, text=True, check=True)
    return tuple(int(part) for part in said.stdout.split()[1].split("."))


@contextmanager
def bouncing(**settings: object) -> Iterator[Bouncer]:
    """A PgBouncer with three server connections for each database, in transaction mode."""
    account = server_account()
    folder = Path(tempfile.mkdtemp(prefix="prefs-bouncer-", dir="/tmp"))
    try:
        bouncer = _configured(folder, settings)
        for path in (folder, *folder.iterdir()):
            account.own(path, 0o700 if path is folder else 0o600)
        command = [_program(), str(folder / "pgbouncer.ini")]
        user = account.uid if account.switch else None
        with subprocess.Popen(command, user=user, stderr=subprocess.DEVNULL, cwd="/") as process:
            try:
                _ready(bouncer, process)
                yield bouncer
            finally:
                process.terminate()
    finally:
        shutil.rmtree(folder)


def _configured(folder: Path, settings: dict[str, object]) -> Bouncer:
    connection.get_connection_params()
    server = connection.settings_dict
    user, password = server["USER"], server["PASSWORD"]
    given = {
        "listen_port": _PORT,
        "unix_socket_dir": folder,
        "auth_type": "scram-sha-256",
        "auth_file": folder / "users",
        "admin_users": user,
        "pool_mode": "transaction",
        "default_pool_size": 3,
        "logfile": folder / "log",
        **settings,
    }
    lines = [f"{name} = {value}" for name, value in given.items()]
    where = f"host={server['HOST'] or 'localhost'} port={server['PORT'] or 5432}"
    text = ["[databases]", f"* = {where}", "[pgbouncer]", *lines, ""]
    (folder / "pgbouncer.ini").write_text("\n".join(text))
    (folder / "users").write_text(f'"{user}" "{password}"\n')
    return Bouncer(folder=folder, user=user, password=password)


def _ready(bouncer: Bouncer, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        with contextlib.suppress(psycopg.OperationalError):
            bouncer.console("SHOW VERSION")
            return
        log = bouncer.folder / "log"
        said = log.read_text() if log.exists() else "it printed nothing"
        assert process.poll() is None, said
        assert time.monotonic() < deadline, said
        time.sleep(0.02)

"""What tests of the embedded server do with servers."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from project.embedded import server
from project.embedded.cluster import Address

ROOT = Path(__file__).resolve().parent.parent.parent
# Uses the server of argv[1], connects, says so, and stays until its stdin ends.
USER = """
import sys, psycopg
from pathlib import Path
from project.embedded import server
a = server.use(Path(sys.argv[1]), "prefs")
with psycopg.connect(host=a.host, port=a.port, user=a.user, password=a.password, dbname="prefs",
                     application_name="prefs tester") as c:
    print(c.execute("SELECT pg_postmaster_start_time()::text").fetchone()[0], flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_user(project: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", USER, str(project)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.communicate(timeout=30)


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def connect(address: Address, database: str = "prefs") -> "psycopg.Connection[tuple[str, ...]]":
    return psycopg.connect(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password,
        dbname=database,
        application_name="prefs test",
    )


def postmaster(project: Path) -> int:
    return int((server.status(project).data / "postmaster.pid").read_text().split()[0])


def wait_for_end(pid: int) -> None:
    for _ in range(500):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            return
        time.sleep(0.01)
    pytest.fail(f"process {pid} goes on")

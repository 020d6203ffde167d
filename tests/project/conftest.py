"""A project folder for each test of the embedded server, and the programs for all of them."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from project.embedded import programs, server
from project.embedded.account import server_account
from tests.support.memory import VARIABLE


@pytest.fixture(scope="session")
def pg_bin() -> Iterator[str]:
    """Programs to run: the chosen ones, or the package's, copied once rather than per test."""
    base = Path(tempfile.mkdtemp(prefix="prefs-tests-", dir="/var/tmp"))
    base.chmod(0o711)
    yield str(programs.find(server_account(), base, os.environ).folder)
    shutil.rmtree(base)


@pytest.fixture
def project(tmp_path: Path, pg_bin: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose server is removed after the test."""
    monkeypatch.setenv("PREFS_PG_BIN", pg_bin)
    # A test may undo what it has set itself.
    with pytest.MonkeyPatch.context() as outer:
        outer.delenv(VARIABLE, raising=False)
        yield tmp_path
        # Without it the package's programs would be copied, only to remove a server with them.
        outer.setenv("PREFS_PG_BIN", pg_bin)
        server.leave(tmp_path)
        server.remove(tmp_path)
    assert not (tmp_path / ".postgres").exists()

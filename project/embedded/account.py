"""The operating-system account that the server runs as, and programs run as that account.

PostgreSQL refuses to run as root, and needs an account with a name. So root becomes
`nobody` for the server's programs, and everybody else stays who they are.
"""

import os
import pwd
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from project.embedded import EmbeddedPostgresError

ROOT_RUNS_AS = "nobody"


@dataclass(frozen=True, kw_only=True)
class Account:
    """Who runs the server; `switch` says that it is not who we are."""

    name: str
    uid: int
    gid: int
    switch: bool

    def own(self, path: Path, mode: int) -> None:
        """Make `path` this account's, and nobody else's, with `mode`."""
        path.chmod(mode)
        if self.switch:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def run(self, command: Sequence[str | Path]) -> "subprocess.CompletedProcess[str]":
        """Run a program as this account, away from our terminal and our folder.

        Args:
            command: the program and its arguments.

        Returns:
            The finished process; `stdout` holds all it printed, in English.

        Raises:
            OSError: the program cannot be executed.
        """
        words = [os.fspath(part) for part in command]
        # A file, not a pipe: a server that kept the pipe open would make us wait for ever.
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            status = self._run(words, output)
            output.seek(0)
            return subprocess.CompletedProcess(words, status, output.read().strip())

    def _run(self, words: list[str], output: IO[str]) -> int:
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={**environ, "LC_ALL": "C"},
            # Out of reach of a Ctrl-C in the terminal that started it.
            start_new_session=True,
            umask=0o077,
            user=self.uid if self.switch else None,
            group=self.gid if self.switch else None,
            extra_groups=[] if self.switch else None,
            check=False,
        ).returncode


def server_account() -> Account:
    """Find the account for the server.

    Returns:
        Our own account, or `nobody` where we are root.

    Raises:
        EmbeddedPostgresError: the account has no passwd entry.
    """
    uid = os.geteuid()
    try:
        entry = pwd.getpwnam(ROOT_RUNS_AS) if uid == 0 else pwd.getpwuid(uid)
    except KeyError:
        who = f'account "{ROOT_RUNS_AS}"' if uid == 0 else f"user id {uid}"
        raise EmbeddedPostgresError(
            f"The embedded PostgreSQL cannot run here: {who} has no passwd entry. Add one, or"
            " set DATABASE_URL=postgres://user:password@host/name to use a server of your own."
        ) from None
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, switch=uid == 0)

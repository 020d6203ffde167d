"""Starts, shares and stops the embedded PostgreSQL of one project.

Starting, stopping and removing exclude one another by a lock in the project's private
folder, so processes that want the server at the same time get the same one. It is ready when
a connection to our own data directory succeeded, whatever a pid file says. Whoever uses it
holds a second lock for life, and it is not stopped under them.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from project.embedded import EmbeddedPostgresError, locks, places, programs
from project.embedded.account import server_account
from project.embedded.cluster import Address, Cluster, Session


class ServerInUseError(EmbeddedPostgresError):
    """The server was not stopped: end what is named, or leave it running."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """What there is of a server; `users` are the processes that hold it."""

    running: bool
    major: int
    data: Path
    log: Path
    socket: Path | None
    sessions: tuple[Session, ...]
    users: tuple[str, ...]


_used: dict[tuple[Path, str], tuple[Cluster, Address]] = {}


def use(project: Path, database: str = "") -> Address:
    """Use the server until this process ends, starting it if it does not run.

    Args:
        project: the folder whose server it is.
        database: created where it is missing.

    Returns:
        Where to connect.

    Raises:
        EmbeddedPostgresError: it cannot run here, or did not start.
    """
    if (project, database) in _used:
        cluster, address = _used[project, database]
        # Cheap, since it is asked before each connection; a killed server is started again.
        if cluster.alive():
            return address
    with _locked(project) as cluster:
        address = cluster.start()
        locks.hold(cluster.places.use_lock)
        if database:
            cluster.create_database(database)
        _used[project, database] = cluster, address
        return address


def start(project: Path) -> Status:
    """Start the server if it does not run, to stay until it is stopped by name.

    Returns:
        What there is of it.

    Raises:
        EmbeddedPostgresError: it cannot run here, or did not start.
    """
    with _locked(project) as cluster:
        cluster.start()
        cluster.places.keep.touch()
        return _status(cluster)


def status(project: Path) -> Status:
    """Tell whether the server runs, and who uses it.

    Returns:
        What there is of it.

    Raises:
        EmbeddedPostgresError: it cannot run here.
    """
    with _locked(project) as cluster:
        return _status(cluster)


def stop(project: Path) -> bool:
    """Stop the server, if nobody uses it.

    Returns:
        Whether it was running.

    Raises:
        ServerInUseError: somebody uses it; the message names who.
        EmbeddedPostgresError: it cannot be stopped.
    """
    if not _present(project):
        return False
    with _locked(project) as cluster:
        return _stop(cluster)


def stop_if_unused(project: Path) -> None:
    """Stop a server that nobody uses, unless `start` was asked to have it stay.

    Raises:
        EmbeddedPostgresError: it cannot be stopped.
    """
    if not _present(project):
        return
    with _locked(project) as cluster, suppress(ServerInUseError):
        if not cluster.places.keep.exists():
            _stop(cluster)


def remove(project: Path) -> None:
    """Stop the servers of every major version, and delete all they hold.

    Raises:
        ServerInUseError: somebody uses one; nothing of it is deleted.
        EmbeddedPostgresError: one cannot be stopped.
    """
    if not _present(project):
        return
    with _locked(project) as cluster:
        base, private = cluster.places.folder.parent, places.private_folder(project)
        for place in places.every(base, cluster.places.account):
            _stop(Cluster(places=place, programs=cluster.programs))
            shutil.rmtree(place.folder)
        if base != private:
            shutil.rmtree(base)
        places.forget(private)


def leave(project: Path) -> None:
    """Give the server up before this process ends."""
    for key in [key for key in _used if key[0] == project]:
        locks.release(_used.pop(key)[0].places.use_lock)


def _present(project: Path) -> bool:
    return (project / ".postgres").exists()


@contextmanager
def _locked(project: Path) -> Iterator[Cluster]:
    account = server_account()
    with locks.exclusive(places.private_folder(project) / "lock"):
        base = places.base_folder(project, account)
        found = programs.find(account, base)
        place = places.Places(folder=base / str(found.major), account=account)
        place.make()
        yield Cluster(places=place, programs=found)


def _status(cluster: Cluster) -> Status:
    running = cluster.answers()
    return Status(
        running=running,
        major=cluster.programs.major,
        data=cluster.places.data,
        log=cluster.places.log,
        socket=cluster.places.socket(),
        sessions=cluster.sessions() if running else (),
        users=tuple(_command(pid) for pid in locks.users(cluster.places.use_lock)),
    )


def _stop(cluster: Cluster) -> bool:
    with locks.unused(cluster.places.use_lock) as unused:
        if not unused:
            raise ServerInUseError(_who(_status(cluster)))
        return cluster.stop()


def _who(status: Status) -> str:
    sessions = ", ".join(f"{s.pid} ({s.application_name or 'unnamed'})" for s in status.sessions)
    return (
        "The embedded PostgreSQL is in use and was not stopped."
        f" Connected sessions: {sessions or 'none at the moment'}."
        f" Processes that use it: {', '.join(status.users) or 'unknown'}."
        " End these, then stop it again."
    )


def _command(pid: int) -> str:
    """Describe a process by its pid and, where the system tells, its command line."""
    words: list[str] = []
    with suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        words = [os.fsdecode(word) for word in command.split(b"\0") if word]
    return f"{pid} ({' '.join(words)[:80]})" if words else str(pid)

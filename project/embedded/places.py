"""Where a server keeps its data, password, log and socket.

Below `.postgres/` in the project's folder, which only its owner may enter; for root, below a
folder of root's own in /var/tmp that `.postgres/` points to, because the account that the
server then runs as may be unable to enter the project. No folder is opened up for it.
PREFS_PG_FOLDER names another folder than /var/tmp, for anybody: a server there is one more.
"""

import os
import secrets
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from project.embedded import EmbeddedPostgresError
from project.embedded.account import Account

ROOT_PARENT = Path("/var/tmp")  # noqa: S108 - the folder made there has a random name
POINTER = "root-folder"
CHOSEN_POINTER = "chosen-folder"
# A socket's path holds about 100 characters, of which PostgreSQL's own name takes 17.
LONGEST_TEMPORARY = 60


@dataclass(frozen=True, kw_only=True)
class Places:
    """The files of one server: one major version in one project."""

    folder: Path
    account: Account

    @property
    def data(self) -> Path:
        """The data directory, complete as soon as it exists."""
        return self.folder / "data"

    @property
    def password(self) -> Path:
        """The file with the password; initdb reads it, so it is the server's."""
        return self.folder / "password"

    @property
    def log(self) -> Path:
        """What PostgreSQL logs; the run before is kept with the suffix .1."""
        return self.folder / "postgresql.log"

    @property
    def use_lock(self) -> Path:
        """Locked, shared, by whoever uses the server."""
        return self.folder / "use.lock"

    @property
    def keep(self) -> Path:
        """Exists while the server was asked for by name, and is to be stopped by name."""
        return self.folder / "keep"

    @property
    def socket_record(self) -> Path:
        """The file that says where the socket's folder is."""
        return self.folder / "socket"

    def socket(self) -> Path | None:
        """The socket's folder, if it was made and is still private to the server."""
        try:
            folder = Path(self.socket_record.read_text(encoding="utf-8"))
            found = folder.lstat()
        except OSError:
            return None
        private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
        return folder if private and found.st_uid == self.account.uid else None

    def make(self) -> None:
        """Make the folder and the password where they are missing."""
        self.folder.mkdir(mode=0o711 if self.account.switch else 0o700, exist_ok=True)
        if not self.password.exists():
            _write(self.password, secrets.token_urlsafe(24), owner=self.account)

    def begin_log(self) -> None:
        """Set the last log aside and begin a new one."""
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        _write(self.log, "", owner=self.account)

    def make_socket(self) -> Path:
        """Return the socket's folder, made anew and recorded if it is gone."""
        if folder := self.socket():
            return folder
        temporary = self.folder if self.account.switch else Path(tempfile.gettempdir())
        if len(str(temporary)) > LONGEST_TEMPORARY:
            temporary = Path("/tmp")  # noqa: S108 - as above
        folder = Path(tempfile.mkdtemp(prefix="prefs-", dir=temporary))
        self.account.own(folder, 0o700)
        _write(self.socket_record, str(folder))
        return folder


def _write(path: Path, text: str, owner: Account | None = None) -> None:
    """Write a private file, whole or not at all."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600, exist_ok=False)
    unfinished.write_text(text, encoding="utf-8")
    if owner:
        owner.own(unfinished, 0o600)
    unfinished.replace(path)


def private_folder(project: Path) -> Path:
    """Return `.postgres/` of a project, made if need be.

    Raises:
        EmbeddedPostgresError: it cannot be made, or it is somebody else's.
    """
    folder = project / ".postgres"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        usable = os.access(folder, os.R_OK | os.W_OK | os.X_OK)
    except OSError as error:
        raise _unusable(folder, error.strerror or "error") from error
    if not usable:
        raise _unusable(folder, "Permission denied")
    return folder


def _unusable(folder: Path, reason: str) -> EmbeddedPostgresError:
    return EmbeddedPostgresError(
        f"The embedded PostgreSQL cannot use {folder} ({reason}): run as the user who owns it,"
        " or set DATABASE_URL=postgres://user:password@host/name to use a server of your own."
    )


def base_folder(project: Path, account: Account) -> Path:
    """Return the folder below which the servers of a project live, made if need be.

    Raises:
        EmbeddedPostgresError: PREFS_PG_FOLDER names no folder to make one in.
    """
    private = private_folder(project)
    if not (account.switch or _chosen()):
        return private
    pointer, owner = _pointer(private), str(private.resolve())
    parent = Path(_chosen() or ROOT_PARENT)
    if base := _pointed_to(pointer, owner, parent):
        return base
    try:
        base = Path(tempfile.mkdtemp(prefix="prefs-", dir=parent))
    except OSError as error:
        raise EmbeddedPostgresError(
            f"PREFS_PG_FOLDER is {str(parent)!r}, where the embedded PostgreSQL can make no folder"
            f" ({error.strerror}): name a folder that you may write to, or none."
        ) from error
    # The server's account passes through; what it may not see is 0700 or 0600 further in.
    base.chmod(0o711 if account.switch else 0o700)
    _write(base / "project", owner)
    _write(pointer, str(base))
    return base


def forget(private: Path) -> None:
    """Remove a project's private folder, unless another server than ours has data in it."""
    if os.geteuid() == 0 or _chosen():
        _pointer(private).unlink(missing_ok=True)
    if [path.name for path in private.iterdir()] == ["lock"]:
        shutil.rmtree(private)


def _chosen() -> str:
    return os.environ.get("PREFS_PG_FOLDER", "")


def _pointer(private: Path) -> Path:
    return private / (CHOSEN_POINTER if _chosen() else POINTER)


def _pointed_to(pointer: Path, owner: str, parent: Path) -> Path | None:
    """Follow the pointer, unless the folder is not ours, or is another project's.

    A copied project brings the pointer of the original along and must not share its server.
    """
    try:
        base = Path(pointer.read_text(encoding="utf-8"))
        found = base.lstat()
        recorded = (base / "project").read_text(encoding="utf-8")
    except OSError:
        return None
    ours = base.parent == parent and stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    if not ours or found.st_mode & 0o022:
        return None
    if recorded != owner:
        if Path(recorded).exists():
            return None
        _write(base / "project", owner)
    return base


def every(base: Path, account: Account) -> list[Places]:
    """List the places of every major version below `base`."""
    return [
        Places(folder=folder, account=account)
        for folder in sorted(base.iterdir())
        if folder.name.isdigit()
    ]

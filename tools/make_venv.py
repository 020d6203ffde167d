"""Makes `.venv` and installs requirement files into it; does nothing where that is done.

Run by whatever Python there is, so it uses the standard library alone. The stamp is written
last: a `.venv` that was left half made, or whose Python is gone, is made anew.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed"


def main() -> int:
    """Make the environment.

    Returns:
        The exit status: 1 when something is missing, which is then named on stderr.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("requirements", help="a file of requirements, beside this project")
    parser.add_argument(
        "--this-python", action="store_true", help="make it anew if it has another Python version"
    )
    options = parser.parse_args()
    # Two makes at a time must not build the same folder.
    with (ROOT / "tools" / "make_venv.py").open(encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            _provide(options.requirements, this_python=options.this_python)
        except subprocess.CalledProcessError as error:
            print(f"{VENV} could not be made: {error}", file=sys.stderr)
            return 1
    return 0


def _provide(requirements: str, *, this_python: bool) -> None:
    version = _version()
    wanted = "{}.{}".format(*sys.version_info)
    if version is None or not STAMP.exists() or (this_python and version != wanted):
        _create()
    stamp = _stamp(requirements)
    done = STAMP.read_text(encoding="utf-8").splitlines() if STAMP.exists() else []
    # The development requirements include those of every day.
    if stamp in done or _stamp("requirements-dev.txt") in done:
        return
    # An installation that was cut short cannot be told from a sound one, so it leaves no stamp.
    STAMP.unlink(missing_ok=True)
    print(f"Installing {requirements} into {VENV.name} ...", file=sys.stderr)
    options = ["--quiet", "--no-input", "--disable-pip-version-check"]
    subprocess.run(
        [str(PYTHON), "-m", "pip", "install", *options, "-r", str(ROOT / requirements)],
        check=True,
        stdout=sys.stderr,
        env={**os.environ, "PIP_ROOT_USER_ACTION": "ignore"},
    )
    kept = [line for line in done if line.split()[0] != requirements]
    STAMP.write_text("\n".join([*kept, stamp, ""]), encoding="utf-8")


def _version() -> str | None:
    """Return the version of the environment's Python; None if it is broken or absent."""
    program = "import pip, sys; print('{}.{}'.format(*sys.version_info))"
    try:
        done = subprocess.run([PYTHON, "-c", program], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _create() -> None:
    if find_spec("venv") is None or find_spec("ensurepip") is None:
        package = "python{}.{}-venv".format(*sys.version_info)
        sys.exit(
            f"This Python ({sys.executable}) has no venv. On Debian or Ubuntu:"
            f" apt-get install {package}. Or name another Python: make PYTHON=/path/to/python3."
        )
    print(f"Making {VENV.name} with {sys.executable} ...", file=sys.stderr)
    if VENV.is_symlink() or VENV.is_file():
        VENV.unlink()
    shutil.rmtree(VENV, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", VENV], check=True)


def _stamp(requirements: str) -> str:
    # One file includes the other, so a change of either counts.
    files = sorted(ROOT.glob("requirements*.txt"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return f"{requirements} {digest}"


if __name__ == "__main__":
    sys.exit(main())

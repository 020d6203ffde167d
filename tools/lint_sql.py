"""Lints the SQL of migrations with squawk, as Django would send it.

Every migration of `prefs` is looked at, and the one of the site that touches the legacy
column; `.squawk.toml` says which rules do not apply, and why.
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
from io import StringIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SITE_MIGRATION = ("accounts", "0002_preferences_leave_django")
# The site's migration is what a site would write, one statement; who applies it to a large
# table sets the timeout for the session: PGOPTIONS="-c lock_timeout=1s".
SITE_EXCLUDES = ["--exclude=require-lock-timeout,require-statement-timeout"]


def main() -> int:
    """Lint every migration.

    Returns:
        0 if squawk found nothing, else 1.
    """
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    import django

    django.setup()
    ours = _own_migrations()
    failed = _squawk([SITE_MIGRATION], SITE_EXCLUDES) + _squawk(ours, [])
    print(f"Linted the SQL of {1 + len(ours)} migration(s).")
    return 1 if failed else 0


def _own_migrations() -> list[tuple[str, str]]:
    from django.db.migrations.loader import MigrationLoader

    # No connection: what is on disk, not what some database has applied.
    loader = MigrationLoader(None)
    return sorted((app, name) for app, name in loader.disk_migrations or {} if app == "prefs")


def _squawk(migrations: list[tuple[str, str]], arguments: list[str]) -> int:
    if not migrations:
        return 0
    squawk = Path(sysconfig.get_path("scripts")) / "squawk"
    with tempfile.TemporaryDirectory() as folder:
        files = [_write(Path(folder), app, name) for app, name in migrations]
        config = ["--config", str(ROOT / ".squawk.toml")]
        command = [str(squawk), *config, *arguments, *map(str, files)]
        return subprocess.run(command, check=False, cwd=folder).returncode


def _write(folder: Path, app: str, name: str) -> Path:
    from django.core.management import call_command

    output = StringIO()
    call_command("sqlmigrate", app, name, stdout=output, no_color=True)
    path = folder / f"{app}.{name}.sql"
    path.write_text(output.getvalue(), encoding="utf-8")
    return path.relative_to(folder)


if __name__ == "__main__":
    sys.exit(main())

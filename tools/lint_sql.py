"""Lints the SQL of migrations with squawk, as Django would send it.

Every migration of `prefs` is looked at; `.squawk.toml` says which rules do not apply, and why.
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
from io import StringIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Lint every migration.

    Returns:
        0 if squawk found nothing, else 1.
    """
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    import django

    django.setup()
    migrations = _own_migrations()
    status = _squawk(migrations)
    print(f"Linted the SQL of {len(migrations)} migration(s).")
    return status


def _own_migrations() -> list[tuple[str, str]]:
    from django.db.migrations.loader import MigrationLoader

    # No connection: what is on disk, not what some database has applied.
    loader = MigrationLoader(None)
    return sorted((app, name) for app, name in loader.disk_migrations or {} if app == "prefs")


def _squawk(migrations: list[tuple[str, str]]) -> int:
    squawk = Path(sysconfig.get_path("scripts")) / "squawk"
    with tempfile.TemporaryDirectory() as folder:
        files = [_write(Path(folder), app, name) for app, name in migrations]
        config = ["--config", str(ROOT / ".squawk.toml")]
        command = [str(squawk), *config, *map(str, files)]
        return 1 if subprocess.run(command, check=False, cwd=folder).returncode else 0


def _write(folder: Path, app: str, name: str) -> Path:
    from django.core.management import call_command

    output = StringIO()
    call_command("sqlmigrate", app, name, stdout=output, no_color=True)
    path = folder / f"{app}.{name}.sql"
    path.write_text(output.getvalue(), encoding="utf-8")
    return path.relative_to(folder)


if __name__ == "__main__":
    sys.exit(main())

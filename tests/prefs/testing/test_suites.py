"""The test suite of a site: by `manage.py test` and by pytest, with and without migrations."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.db.utils import DatabaseError
from pytest_django import DjangoDbBlocker

from prefs.routing import MissingSwitch, Route
from prefs.testing import NotATest, prepare, turn
from tests.support import scratch
from tests.support.steps import rows, state, value
from tests.support.tampering import remove_switches

CASES = "tests.testing_site.cases"
PLAIN = ("Rolled", "Committed", "Zoned")
SERIALIZED = ("Serialized", "Zoned")
CONFTEST = """import pytest
from django.conf import settings
from django.db import connections

from prefs.testing import prepare


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        for alias in connections:
            prepare(alias)
"""


@pytest.fixture
def suite() -> Iterator[dict[str, str]]:
    """The environment of a process that runs the site's suite; its databases are dropped."""
    run = uuid.uuid4().hex[:10]
    yield {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.testing_site.settings",
        "PREFS_TEST_SUITE": run,
        "PYTHONPATH": str(scratch.ROOT),
    }
    connection.get_connection_params()
    with scratch.connect("postgres") as session:
        pattern = f"test_prefs_suite%{run}%"
        left = session.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [pattern])
        for (name,) in left.fetchall():
            scratch.drop(name)


def manage(environ: dict[str, str], classes: tuple[str, ...], *arguments: str) -> str:
    """What `manage.py test` says; it must end well."""
    labels = [f"{CASES}.{name}" for name in classes]
    command = [sys.executable, "manage.py", "test", *labels, "--noinput", *arguments]
    return _ends_well(command, environ, scratch.ROOT)


def by_pytest(
    environ: dict[str, str], folder: Path, classes: tuple[str, ...], *arguments: str
) -> str:
    """What pytest says of the same suite, in a folder of its own."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_site.py").write_text(f"from {CASES} import {', '.join(classes)}\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return _ends_well(command, environ, folder)


def _ends_well(command: list[str], environ: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_site_runs_its_tests_by_django(suite: dict[str, str]) -> None:
    """Case C8: tests that commit, in two databases, in any order, kept, and in parallel."""
    assert "Ran 6 tests" in manage(suite, PLAIN, "--shuffle", "1", "--keepdb")
    assert "Ran 6 tests" in manage(suite, PLAIN, "--reverse", "--keepdb", "--parallel", "2")


def test_a_site_runs_its_tests_without_migrations(suite: dict[str, str]) -> None:
    """Case C8: MIGRATE=False; what migrations would have installed is there."""
    assert "Ran 6 tests" in manage({**suite, "PREFS_TEST_UNMIGRATED": "1"}, PLAIN)


@pytest.mark.parametrize(
    "arguments",
    [("-n", "2"), ("--nomigrations", "-p", "no:xdist")],
    ids=["migrated", "without migrations"],
)
def test_a_site_runs_its_tests_by_pytest(
    suite: dict[str, str], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Case C8: the same by pytest, with pytest-xdist and with --nomigrations."""
    assert "6 passed" in by_pytest(suite, tmp_path, PLAIN, *arguments)


def test_what_migrations_stored_is_loaded_again_where_a_test_asks_for_it(
    suite: dict[str, str], tmp_path: Path
) -> None:
    """Case C8: `serialized_rollback`, whose flush leaves nothing that migrations stored."""
    assert "2 passed" in by_pytest(suite, tmp_path, SERIALIZED)


def test_without_the_helper_a_check_says_what_is_missing(suite: dict[str, str]) -> None:
    """Case C8: MIGRATE=False ends in one sentence that names the helper."""
    environ = {
        **suite,
        "PREFS_TEST_UNMIGRATED": "1",
        "PREFS_TEST_RUNNER": "django.test.runner.DiscoverRunner",
    }
    with pytest.raises(AssertionError) as failed:
        manage(environ, PLAIN)
    said = str(failed.value)
    assert "prefs.E004" in said
    assert "prefs.testing.prepare()" in said
    assert "E003" not in said


def test_a_flush_empties_everything_and_puts_both_switches_back(site: str) -> None:
    """Case C8: whatever the route was, and however often it is prepared."""
    with pytest.raises(CommandError, match="couldn't be flushed"):
        call_command("flush", interactive=False, verbosity=0)
    before = rows("SELECT * FROM waffle_switch ORDER BY id")
    for _ in range(2):
        prepare()
        turn(Route.TABLES)
        rows(
            "INSERT INTO waffle_switch (name, active, note, created, modified)"
            " VALUES ('a site''s own', true, '', now(), now())"
        )
        call_command("flush", interactive=False, verbosity=0)
        assert rows("SELECT * FROM waffle_switch ORDER BY id") == before
        assert value("SELECT count(*) FROM prefs_audit") == 0


def test_to_prepare_puts_right_what_killed_tests_have_left(site: str) -> None:
    """Case C8: a database that was kept, in the route that a test had turned it to."""
    prepare()
    turn(Route.TABLES)
    prepare()
    assert str(state()) == "expanded"


def test_a_guard_gives_way_to_nobody_who_could_not_disable_it(site: str) -> None:
    """Case C8: the mark of a test database is one of the owner's, and lasts."""
    role = f"prefs_nobody_{uuid.uuid4().hex[:8]}"
    rows(f"CREATE ROLE {role}")
    try:
        rows(f"GRANT TRUNCATE ON prefs_audit, waffle_switch TO {role}")
        rows(f"GRANT CREATE ON SCHEMA public TO {role}")
        for made in ("CREATE TABLE", "CREATE TEMPORARY TABLE"):
            for table in ("prefs_audit", "waffle_switch"):
                statements = f"""SET LOCAL ROLE {role};
                  {made} prefs_test_database (name text); TRUNCATE {table}"""
                with pytest.raises(DatabaseError, match="refused"), transaction.atomic():
                    rows(statements)
        # Only TRUNCATE, too: rows stay guarded in a test database.
        prepare()
        for statement in ("DELETE FROM waffle_switch", "UPDATE waffle_switch SET active = true"):
            with pytest.raises(DatabaseError, match="refused"), transaction.atomic():
                rows(statement)
    finally:
        rows(f"DROP OWNED BY {role}")
        rows(f"DROP ROLE {role}")


def test_no_guard_is_taken_away_where_no_tests_run(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case C8: called in a shell of the site itself, it changes nothing and says why."""
    monkeypatch.delattr(mail, "outbox")
    with pytest.raises(NotATest, match=r"prepare\('default'\).*runs no tests"):
        prepare()
    assert value("SELECT to_regclass('prefs_test_database') IS NULL")


def test_switches_that_are_gone_already_are_not_kept_as_gone(site: str) -> None:
    """Case C8: nobody could say which route they had."""
    remove_switches("prefs_dual_write")
    with pytest.raises(MissingSwitch, match="prefs_dual_write is missing"):
        prepare()
    assert value("SELECT to_regclass('prefs_test_database') IS NULL")


def test_a_database_without_our_tables_is_left_alone(django_db_blocker: DjangoDbBlocker) -> None:
    """Case C8: one of several that a router keeps preferences out of."""
    with django_db_blocker.unblock(), scratch.database() as name, scratch.pointed_at(name):
        prepare()
        assert not connections["default"].introspection.table_names()
        assert isinstance(connection.connection, psycopg.Connection)

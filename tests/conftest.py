"""Fixtures for every test: databases whose names no other test run shares."""

import gc
import uuid
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import connection
from pytest_django import DjangoDbBlocker

from prefs.testing import prepare
from tests.support import emptying, templates
from tests.support.fast import (
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_runtest_call,
)
from tests.support.memory import pytest_configure, pytest_unconfigure
from tests.support.needs import pytest_runtest_setup, pytest_terminal_summary

__all__ = [
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_runtest_call",
    "pytest_runtest_setup",
    "pytest_terminal_summary",
    "pytest_unconfigure",
]


def pytest_collection() -> None:
    """Look for no garbage while the tests are collected: nearly all of it stays."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Keep what stays for the whole run, thousands of tests among it, from the collector."""
    emptying.install()
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="session")
def run_id() -> str:
    """A name for this process's part of this test run."""
    return uuid.uuid4().hex[:10]


@pytest.fixture(scope="session")
def template(
    worker_id: str,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[str]:
    """The name of a migrated database without users, one for all processes of the run."""
    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        # A process of several has a folder within that of the run.
        folder = folder.parent
    with django_db_blocker.unblock():
        name = templates.join(folder)
    yield name
    with django_db_blocker.unblock():
        templates.leave(folder)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(run_id: str, template: str) -> None:
    """Copy test databases, and name them after the run: two runs on one server share none.

    It takes the place of pytest-django's suffix for parallel workers, each of which is a
    process with an id of its own.
    """
    for database in settings.DATABASES.values():
        name = f"test_{database['NAME']}"[:40]
        test = database.setdefault("TEST", {})
        test.update(NAME=f"{name}_{run_id}", TEMPLATE=template)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Let a flush empty our tables, as in the test suite of any site."""
    if connection.settings_dict["NAME"] != connection.settings_dict["TEST"]["NAME"]:
        # No test of this run uses it, so it was not made, and this is the site's own database.
        return
    with django_db_blocker.unblock():
        prepare()

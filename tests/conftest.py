"""Fixtures for every test: databases whose names no other test run shares."""

import uuid

import pytest
from django.conf import settings
from pytest_django import DjangoDbBlocker

from prefs.testing import prepare


@pytest.fixture(scope="session")
def run_id() -> str:
    """A name for this process's part of this test run."""
    return uuid.uuid4().hex[:10]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(run_id: str) -> None:
    """Name test databases after the run: two runs on one server must not drop each other's.

    It takes the place of pytest-django's suffix for parallel workers, each of which is a
    process with an id of its own.
    """
    for database in settings.DATABASES.values():
        name = f"test_{database['NAME']}"[:40]
        database.setdefault("TEST", {})["NAME"] = f"{name}_{run_id}"


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Let a flush empty our tables, as in the test suite of any site."""
    with django_db_blocker.unblock():
        prepare()

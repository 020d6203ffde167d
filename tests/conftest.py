"""Fixtures for every test: databases whose names no other test run shares."""

import uuid
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.models.signals import post_migrate
from pytest_django import DjangoDbBlocker

from prefs.routing import Route
from prefs.sql.triggers import guard_triggers
from tests.support.needs import pytest_runtest_setup, pytest_terminal_summary
from tests.support.tampering import turn

__all__ = ["pytest_runtest_setup", "pytest_terminal_summary"]


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
    """Let a flush empty the tables that nobody may truncate, and put back the two switches.

    A site's own test suite has to do the same where its tests commit.
    """
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for trigger in guard_triggers():
            if trigger.name == "prefs_no_truncate":
                cursor.execute(f"ALTER TABLE {trigger.table} DISABLE TRIGGER {trigger.name}")
    flushed = connection.settings_dict["NAME"]

    def put_back(**_: Any) -> None:
        if connection.settings_dict["NAME"] == flushed:
            turn(Route.BLOB)

    post_migrate.connect(put_back, sender=apps.get_app_config("prefs"), weak=False)

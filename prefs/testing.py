"""For the test suite of a site: databases whose tables tests may empty, and the switches put back.

A flush empties every table by TRUNCATE, and so takes the two switches away, without which no
preference is read or written; the guards refuse it. `prepare` lets it through in one database,
and has the database itself put the switches back after it. Nothing is remembered in a process,
so clones of the database (`--parallel`), kept ones (`--keepdb`) and any runner will do.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core import mail
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.migrations import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.fields import FieldOperation
from django.db.migrations.operations.models import IndexOperation, ModelOperation
from django.db.migrations.state import ProjectState
from django.db.models.signals import post_migrate
from django.test.runner import DiscoverRunner

from prefs import migrations
from prefs.engine.checks import made_without_migrations
from prefs.fields import document_field
from prefs.mapping import USER_TABLE
from prefs.routing import SWITCHES, MissingSwitch, Route
from prefs.sql import catalog, testing


class NotATest(RuntimeError):
    """A database that would lose its guards, and no test environment that it could belong to."""

    def __init__(self, alias: str) -> None:
        super().__init__(
            f"prefs.testing.prepare({alias!r}) takes guards away from a database, and this process"
            " runs no tests. Nothing was changed. Call it from a test runner, a conftest.py or a"
            " setUpClass, after django.test.utils.setup_test_environment()."
        )


def prepare(using: str = DEFAULT_DB_ALIAS) -> None:
    """Let tests empty the tables of this database; twice is as good as once.

    Installs what migrations would have installed where the tables were made without them. A
    database without our tables is left alone. Call it outside a transaction. Raises NotATest,
    and MissingSwitch where a switch was lost before the first call. Locks the switches' table
    for a moment.
    """
    if not hasattr(mail, "outbox"):
        raise NotATest(using)
    connection = connections[using]
    if USER_TABLE not in connection.introspection.table_names():
        return
    if made_without_migrations(using):
        _install(using)
    with transaction.atomic(using=using), connection.cursor() as cursor:
        for statement in testing.prepare():
            cursor.execute(statement)
        cursor.execute(testing.kept_switches())
        kept = {name for (name,) in cursor.fetchall()}
        if kept != set(SWITCHES):
            raise MissingSwitch(*(name for name in SWITCHES if name not in kept))
        for statement in testing.put_back():
            cursor.execute(statement)


def turn(route: Route, using: str = DEFAULT_DB_ALIAS) -> None:
    """Set both switches, without gates, copies and a drain: for a test that begins in a route.

    A flush puts them back, and so does the end of the transaction that a TestCase runs in.
    """
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute(catalog.allow_turning())
        for name, active in zip(SWITCHES, route.value, strict=True):
            cursor.execute(testing.set_switch(), {"name": name, "active": active})
        cursor.execute(testing.end_turning())


class PreparesDatabases:
    """Goes before DiscoverRunner, or a site's own, among the bases of a test runner."""

    def setup_databases(self, **options: Any) -> Any:
        """Make the databases, each prepared before it is cloned for parallel processes."""
        ours = apps.get_app_config("prefs")
        post_migrate.connect(_migrated, sender=ours, dispatch_uid=__name__)
        try:
            return super().setup_databases(**options)  # type: ignore[misc]
        finally:
            post_migrate.disconnect(sender=ours, dispatch_uid=__name__)


class Runner(PreparesDatabases, DiscoverRunner):
    """Django's own test runner: TEST_RUNNER = "prefs.testing.Runner"."""


def _migrated(using: str, **_: Any) -> None:
    prepare(using)


def _install(using: str) -> None:
    """Do what is in our migrations beside what Django makes of the models."""
    connection = connections[using]
    field = document_field(get_user_model())
    if field is not None:
        with connection.cursor() as cursor:
            cursor.execute(testing.add_column(null=field.null))
    state = ProjectState()
    for migration in _migrations():
        with connection.schema_editor(atomic=migration.atomic) as editor:
            for operation in migration.operations:
                if _is_ours(operation):
                    operation.database_forwards("prefs", editor, state, state)


def _migrations() -> Iterator[Migration]:
    for module in sorted(iter_modules(migrations.__path__), key=lambda module: module.name):
        yield import_module(f"{migrations.__name__}.{module.name}").Migration(module.name, "prefs")


def _is_ours(operation: Operation) -> bool:
    return not isinstance(operation, ModelOperation | FieldOperation | IndexOperation)

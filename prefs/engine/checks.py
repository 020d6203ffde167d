"""The system check of `check --database`: what expand installed is as it was made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from prefs.engine.integrity import problems
from prefs.sql import catalog
from prefs.sql.asking import one


def installation_is_intact(
    app_configs: Sequence[AppConfig] | None = None,
    databases: Sequence[str] | None = None,
    **kwargs: Any,
) -> list[checks.CheckMessage]:
    """prefs.E003: something that was done behind the migration's back, with its repair.

    prefs.E004: tables that were made without migrations, as a test database can be. Silent where
    a migration of ours is still to be applied: `migrate` asks this first.
    """
    unmade = [alias for alias in databases or () if made_without_migrations(alias)]
    return [_not_installed(alias) for alias in unmade] + [
        checks.Error(problem.what, hint=problem.repair, obj=alias, id="prefs.E003")
        for alias in databases or ()
        if alias not in unmade and _is_migrated(alias)
        for problem in problems(alias)
    ]


def _is_migrated(alias: str) -> bool:
    executor = MigrationExecutor(connections[alias])
    ours = [node for node in executor.loader.graph.leaf_nodes() if node[0] == "prefs"]
    return not executor.migration_plan(ours)


def made_without_migrations(alias: str) -> bool:
    """Whether Django made the tables by itself, so that nothing guards or reads them yet."""
    [alone] = one(connections[alias], catalog.tables_alone())
    applied = MigrationRecorder(connections[alias]).applied_migrations() if alone else {}
    return bool(alone) and not any(label == "prefs" for label, _ in applied)


def _not_installed(alias: str) -> checks.CheckMessage:
    return checks.Error(
        "The tables of preferences were made without migrations (MIGRATE is False, or"
        " MIGRATION_MODULES turns them off): the column, functions, triggers, foreign keys and"
        " switches are missing, and nothing can be read or written.",
        hint="In a test database call prefs.testing.prepare() once it is made, or let"
        " TEST_RUNNER be prefs.testing.Runner (docs/testing-your-site.md). Elsewhere run migrate.",
        obj=alias,
        id="prefs.E004",
    )

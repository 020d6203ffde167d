"""The system check of `check --database`: what expand installed is as it was made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from prefs.engine.integrity import problems


def installation_is_intact(
    app_configs: Sequence[AppConfig] | None = None,
    databases: Sequence[str] | None = None,
    **kwargs: Any,
) -> list[checks.CheckMessage]:
    """prefs.E003: something that was done behind the migration's back, with its repair.

    Silent where a migration of ours is still to be applied: `migrate` asks this first.
    """
    return [
        checks.Error(problem.what, hint=problem.repair, obj=alias, id="prefs.E003")
        for alias in databases or ()
        if _is_migrated(alias)
        for problem in problems(alias)
    ]


def _is_migrated(alias: str) -> bool:
    executor = MigrationExecutor(connections[alias])
    ours = [node for node in executor.loader.graph.leaf_nodes() if node[0] == "prefs"]
    return not executor.migration_plan(ours)

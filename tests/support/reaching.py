"""Django's connections made in another way: with other OPTIONS, from a pool, by a proxy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper

from tests.support import scratch

DEFAULT = "default"


def _changed(settings: dict[str, Any]) -> dict[str, Any]:
    before = connections.settings[DEFAULT]
    options = {**before["OPTIONS"], **settings.get("OPTIONS", {})}
    return {**before, **settings, "OPTIONS": options}


def wrapper() -> DatabaseWrapper:
    """Django's own object for this thread's connection, which knows the pool."""
    found = connections[DEFAULT]
    assert isinstance(found, DatabaseWrapper)
    return found


@contextmanager
def reached(**settings: Any) -> Iterator[None]:
    """Have this process, in every thread, reach its database as `settings` say; OPTIONS add up."""
    connections.close_all()
    usual, own = connections.settings[DEFAULT], connections[DEFAULT]
    connections.settings[DEFAULT] = _changed(settings)
    del connections[DEFAULT]
    try:
        yield
    finally:
        connections.close_all()
        wrapper().close_pool()
        connections.settings[DEFAULT] = usual
        connections[DEFAULT] = own


@contextmanager
def second_alias(name: str = "second", **settings: Any) -> Iterator[str]:
    """Another alias of Django for the same database, with these settings."""
    connections.settings[name] = _changed(settings)
    try:
        yield name
    finally:
        connections[name].close()
        del connections[name]
        del connections.settings[name]


def environment(site: str, settings: dict[str, Any], **prefs: object) -> dict[str, str]:
    """The environment of a process that reaches the database `site` as `settings` say."""
    return {
        **scratch.environment(site, **prefs),
        "DJANGO_SETTINGS_MODULE": "tests.prefs.callers.settings",
        "PREFS_TEST_CONNECTION": json.dumps(settings),
    }

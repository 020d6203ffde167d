"""The PREFS_* settings, typed, each with its default and checked when it is read."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

# Sessions with this application_name, or one that begins with it and a space, are of this
# release; a gate takes every other for a possible writer of the previous one.
APPLICATION_NAME = "prefs"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a site can set, as `PREFS_` and the name in capitals."""

    verification_ttl: timedelta = timedelta(hours=24)
    """How long a verification that found nothing counts as evidence."""

    cutover_soak: timedelta = timedelta(hours=24)
    """How long reads come from the tables before the blob stops being written."""

    contract_soak: timedelta = timedelta(days=7)
    """How long the blob stands unwritten before it can be dropped."""

    inline_backfill_max_users: int = 10_000
    """`migrate` copies up to this many users itself; for more it says what to run."""

    max_document_bytes: int = 1_048_576
    """The longest document text that a write may make."""

    replicas: tuple[str, ...] = ()
    """Django database aliases of replicas, whose sessions the drop looks at too."""

    application_roles: tuple[str, ...] = ()
    """Database roles of the application; by default all that may update the column."""

    known_applications: tuple[str, ...] = ()
    """Names of other applications that never write preferences (a monitor, say)."""

    archive_max_bytes: int = 10 * 1024**3
    """The largest archive, as predicted before the drop, that may be made."""

    archive_lifetime: timedelta = timedelta(days=90)
    """How long an archive is kept at least before it can be removed."""

    lease: timedelta = timedelta(seconds=15)
    """How long a run keeps its lock after its last batch."""

    lock_patience: timedelta = timedelta(seconds=120)
    """How long one batch, or one piece of DDL, keeps trying for a lock it does not get."""

    ddl_lock_timeout: timedelta = timedelta(milliseconds=250)
    """How long one try at a table lock may hold up the queue behind it."""

    throttle_replication_lag: tuple[float, ...] = (10, 5)
    """Seconds of replication lag at which background work waits, and at which it goes on."""

    throttle_waiting_sessions: tuple[float, ...] = (4, 1)
    """Sessions that wait for a batch's locks: where to wait, and where to go on."""

    throttle_active_sessions: tuple[float, ...] = ()
    """Active sessions besides the workers': where to wait, and where to go on; off unless set."""

    throttle_oldest_transaction: tuple[float, ...] = (3600, 3000)
    """Age in seconds of the oldest transaction: where to wait, and where to go on."""

    throttle_callable: str = ""
    """Dotted path of a function that takes a database alias and says why to wait, or ''."""


def current() -> Settings:
    """The settings of this process.

    Raises ImproperlyConfigured, naming the setting and its value, where one has a wrong type.
    """
    given: dict[str, Any] = {}
    for item in fields(Settings):
        name = f"PREFS_{item.name.upper()}"
        if hasattr(django_settings, name):
            given[item.name] = _checked(name, getattr(django_settings, name), item.default)
    return Settings(**given)


def _checked(name: str, value: object, default: object) -> object:
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        value = tuple(value)
    amount = value.total_seconds() if isinstance(value, timedelta) else value
    negative = isinstance(amount, int | float) and amount < 0
    if isinstance(value, bool) or not isinstance(value, type(default)) or negative:
        raise ImproperlyConfigured(
            f"{name} is {value!r}; expected a {type(default).__name__} that is not negative,"
            f" such as {default!r}."
        )
    return value

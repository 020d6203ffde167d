"""The PREFS_* settings, typed, each with its default and checked when it is read."""

from __future__ import annotations

import math
from dataclasses import Field, dataclass, fields
from datetime import timedelta
from functools import cache
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver

# Sessions with this application_name, or one that begins with it and a space, are of this
# release; a gate takes every other for a possible writer of the previous one.
APPLICATION_NAME = "prefs"

# PostgreSQL rounds a lock_timeout to milliseconds, and takes 0 for one without end.
_SHORTEST = timedelta(milliseconds=1)
# Further ahead no date can be told, and no interval stored.
_LONGEST = timedelta(days=36_500)
_MOST = 2**31 - 1

# Settings that take less than durations and numbers do: (least, most), None for as they do.
_LIMITS: dict[str, tuple[Any, Any]] = {
    "verification_ttl": (timedelta(seconds=1), None),
    # The shortest document is {}, and PostgreSQL holds no text of a gigabyte.
    "max_document_bytes": (2, 2**30 - 1),
    "shadow_budget": (_SHORTEST, timedelta(seconds=1)),
    "archive_max_bytes": (0, 2**63 - 1),
    "lease": (_SHORTEST, timedelta(days=1)),
    "throttle_patience": (timedelta(seconds=1), timedelta(hours=1)),
    "ddl_lock_timeout": (_SHORTEST, timedelta(minutes=1)),
}


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

    shadow_budget: timedelta = timedelta(milliseconds=50)
    """How long a shadow read may wait for locks, all in all."""

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

    ddl_lock_timeout: timedelta = timedelta(milliseconds=500)
    """How long one try at a table lock may hold up the queue behind it."""

    throttle_replication_lag: tuple[float, ...] = (10, 5)
    """Seconds of replication lag at which background work waits, and at which it goes on."""

    throttle_waiting_sessions: tuple[float, ...] = (4, 1)
    """Sessions that wait for a batch's locks: where to wait, and where to go on."""

    throttle_active_sessions: tuple[float, ...] = ()
    """Active sessions besides the workers': where to wait, and where to go on; off unless set."""

    throttle_oldest_transaction: tuple[float, ...] = (3600, 3000)
    """Age in seconds of the oldest transaction: where to wait, and where to go on."""

    throttle_patience: timedelta = timedelta(seconds=60)
    """How long one look at what to wait for may take, the site's own function included."""

    throttle_callable: str = ""
    """Dotted path of a function that takes a database alias and says why to wait, or ''."""

    plan: str = ""
    """Path of a TOML file in which the team says more of its plan, or ''."""

    api_owner: str = ""
    """Dotted path of a function from a request to the key of the user whom it is from, or None."""

    api_require_if_match: bool = False
    """Whether the API refuses writes without If-Match."""


@cache
def current() -> Settings:
    """The settings of this process, read once.

    Raises ImproperlyConfigured, naming the setting and its value, where one has a wrong type or
    a value that would do harm or nothing at all.
    """
    given: dict[str, Any] = {}
    for item in fields(Settings):
        name = f"PREFS_{item.name.upper()}"
        if hasattr(django_settings, name):
            value = getattr(django_settings, name)
            value = tuple(value) if isinstance(value, list) else value
            if expected := _expected(item, value):
                raise ImproperlyConfigured(
                    f"{name} is {value!r}; expected {expected}, such as {item.default!r}."
                )
            given[item.name] = value
    return Settings(**given)


@receiver(setting_changed)
def _forget(*, setting: str, **_: Any) -> None:
    """Read them again: in a test suite they change."""
    if setting.startswith("PREFS_"):
        current.cache_clear()


def _expected(item: Field[Any], value: Any) -> str:
    """What was expected of a setting in the place of `value`, or nothing where it is right."""
    default: Any = item.default
    kind = type(default).__name__
    if isinstance(value, bool) is not isinstance(default, bool) or not isinstance(
        value, type(default)
    ):
        return f"a {kind}"
    if isinstance(default, tuple):
        if item.name.startswith("throttle_"):
            return _expected_pair(value)
        # An empty name would be that of every session without one.
        named = all(isinstance(each, str) and each for each in value)
        return "" if named else "a tuple of names, none empty"
    if isinstance(default, bool) or not isinstance(default, int | timedelta):
        return ""
    least, most = _LIMITS.get(item.name, (None, None))
    least = type(default)(0) if least is None else least
    most = most or (_MOST if isinstance(default, int) else _LONGEST)
    return "" if least <= value <= most else f"a {kind} from {least} to {most}"


def _expected_pair(value: tuple[Any, ...]) -> str:
    """The same for the two figures of a throttle, or none."""
    figures = [x for x in value if isinstance(x, int | float) and not isinstance(x, bool)]
    right = len(figures) == len(value) == 2 and all(map(math.isfinite, figures))
    if not value or (right and 0 <= figures[1] < figures[0]):
        return ""
    return (
        "two finite numbers, where to wait and the lower one where to go on (or () for no such"
        " throttle)"
    )

"""Every function that expand installs."""

from __future__ import annotations

from functools import cache

from prefs.sql import planned, shadow, trigger_functions
from prefs.sql.functions import FUNCTIONS
from prefs.sql.stored import StoredFunction


@cache
def called() -> tuple[StoredFunction, ...]:
    """Those that statements call. They run with the caller's rights: the tables' rights hold.

    But those that say whether a verification stands, and keep what a shadow read found, for roles
    that read preferences.
    """
    path = trigger_functions.SAFE_PATH
    return (*FUNCTIONS, shadow.stands(path), shadow.noting(path), *planned.functions().values())


@cache
def fired() -> tuple[StoredFunction, ...]:
    """Those that triggers call."""
    return tuple(trigger_functions.functions().values())

"""Every function that expand installs."""

from __future__ import annotations

from functools import cache

from prefs.sql import planned, shadow, trigger_functions
from prefs.sql.functions import FUNCTIONS
from prefs.sql.stored import StoredFunction


@cache
def called() -> tuple[StoredFunction, ...]:
    """Those that statements call. They run with the caller's rights: the tables' rights hold.

    But the one that says whether a verification stands, for roles that read preferences.
    """
    stands = shadow.stands(trigger_functions.SAFE_PATH)
    return (*FUNCTIONS, stands, *planned.functions().values())


@cache
def fired() -> tuple[StoredFunction, ...]:
    """Those that triggers call."""
    return tuple(trigger_functions.functions().values())

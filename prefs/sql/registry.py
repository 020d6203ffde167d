"""Every function that expand installs: how it is made, called, kept from others, and dropped."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from prefs.sql import planned, trigger_functions
from prefs.sql.functions import ARGUMENTS, FUNCTIONS
from prefs.sql.names import qualified


@dataclass(frozen=True, kw_only=True)
class StoredFunction:
    """One function in the database: its name, the types it takes, and what makes it."""

    name: str
    takes: str
    create: str
    definer: bool = False
    """Whether it runs with its owner's rights, so that nobody may call it but by its trigger."""

    @property
    def signature(self) -> str:
        """It as PostgreSQL names it: qualified, with the types of its arguments."""
        return f"{qualified(self.name)}({self.takes})"

    @property
    def statements(self) -> tuple[str, ...]:
        """What makes it, or makes it anew, for those who may call it."""
        keep = f"REVOKE ALL ON FUNCTION {self.signature} FROM PUBLIC"
        return (self.create, keep) if self.definer else (self.create,)

    @property
    def drop(self) -> str:
        return f"DROP FUNCTION IF EXISTS {self.signature}"


@cache
def called() -> tuple[StoredFunction, ...]:
    """Those that statements call. They run with the caller's rights: the tables' rights hold."""
    helpers = [
        StoredFunction(name=name, takes=ARGUMENTS[name], create=create)
        for name, create in FUNCTIONS.items()
    ]
    takes = planned.signatures()
    large = [
        StoredFunction(name=name, takes=takes[name], create=create)
        for name, create in planned.functions().items()
    ]
    return (*helpers, *large)


@cache
def fired() -> tuple[StoredFunction, ...]:
    """Those that triggers call."""
    return tuple(
        StoredFunction(name=name, takes="", create=create, definer=True)
        for name, create in trigger_functions.functions().items()
    )

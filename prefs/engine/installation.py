"""What expand installs beside the tables, put right: functions, triggers, keys, rights, policies.

It can be done in every state, and again and again: what is right is left alone. The tables
themselves and their constraints are the migrations'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import ProgrammingError, connections, transaction

from prefs import ddl
from prefs.conf import Settings
from prefs.engine import audit, integrity, keys
from prefs.engine.batches import Control
from prefs.engine.flaws import Flaw, Part
from prefs.engine.look import look
from prefs.engine.rights import wrong_rights
from prefs.sql.asking import execute

_NOT_ALLOWED = "42501"


@dataclass(frozen=True, kw_only=True)
class Installed:
    """What was put right, and what is left: for another role, or for a hand, to mend."""

    changed: tuple[Flaw, ...]
    left: tuple[Flaw, ...]


def plan(alias: str, settings: Settings) -> list[Flaw]:
    """What `install` would put right, in its order: a function before the trigger that calls it.

    Locks nothing.
    """
    found = integrity.flaws(look(alias), settings)
    return sorted(found, key=lambda flaw: flaw.part)


def install(alias: str, settings: Settings, control: Control) -> Installed:
    """Put right what is not as it should be; `control.notice` gets a line for each.

    Each statement is a transaction of its own with a short wait for its lock; triggers and keys
    take SHARE ROW EXCLUSIVE on users for a moment. It can be stopped between two of them. Raises
    LockNotObtained, TriesStopped and UsersHidden.
    """
    found = plan(alias, settings)
    for flaw in found:
        if control.stopped():
            break
        control.notice(integrity.told(flaw))
        _put_right(flaw, alias, settings, control)
    # Asked again: a GRANT that this role may not make can pass with a warning.
    left = plan(alias, settings)
    still = {flaw.what for flaw in left}
    changed = [flaw for flaw in found if flaw.what not in still]
    if changed:
        whats = [flaw.what for flaw in changed]
        audit.record(alias, audit.Event.INSTALL, "installation", changed=whats)
    return Installed(changed=tuple(changed), left=tuple(left))


def _put_right(flaw: Flaw, alias: str, settings: Settings, control: Control) -> None:
    """Run its statements, all or none; what this role may not do is left as it is."""
    if flaw.part is Part.KEY:
        keys.put_back(alias, settings, control, keys.ALL)
        return

    def work() -> None:
        for statement in flaw.statements:
            execute(connections[alias], statement)

    with _leaving_what_is_not_allowed():
        ddl.locked(connections[alias], f"put right: {flaw}", work, control.tries(settings))


@contextmanager
def _leaving_what_is_not_allowed() -> Iterator[None]:
    try:
        yield
    except ProgrammingError as error:
        if ddl.sqlstate(error) != _NOT_ALLOWED:
            raise


def put_rights_right(alias: str, settings: Settings, say: Callable[[str], None]) -> None:
    """Give roles what they have on the column, in a transaction that may be open already.

    What this role may not grant is said, with the statements for one who may.
    """
    for flaw in wrong_rights(look(alias), settings):
        with _leaving_what_is_not_allowed(), transaction.atomic(using=alias):
            for statement in flaw.statements:
                execute(connections[alias], statement)
    for flaw in wrong_rights(look(alias), settings):
        say(f"    {integrity.told(flaw)}. {flaw.remedy}.")

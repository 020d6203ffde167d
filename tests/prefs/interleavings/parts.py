"""The parts: who writes, and how, in which steps. Each writes leaves that nobody else writes.

A part is a function of `did`, which it calls with what it did once that is committed. What a
part's refusal may be is said beside it; any other error is a fault.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import transaction

from prefs.models import UserPreferences
from tests.prefs.interleavings.play import each_statement, pause
from tests.prefs.interleavings.world import FIRST, MOVED, NEWCOMER, SECOND, Deed, World
from tests.support.site_triggers import STAMPED
from tests.support.stores import query

Did = Callable[[Deed], None]

NOBODY = "DoesNotExist"
FROZEN = "55000"
"""The capture trigger refuses: the blob is no longer written, or is behind."""
BESIDE = "27000"
"""It refuses what a trigger of the site's changes beside a write, while the tables are read."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part: how many steps it has at most, what it does, and which errors may end it."""

    name: str
    steps: int
    act: Callable[[Did], None]
    may_raise: tuple[str, ...] = ()


def wrote(person: int, leaves: Mapping[str, Any]) -> Deed:
    """The deed of a write."""
    return lambda world: world.write(person, leaves)


def _part(steps: int, *may_raise: str) -> Callable[[Callable[[Did], None]], Part]:
    def made(act: Callable[[Did], None]) -> Part:
        return Part(name=act.__name__, steps=steps, act=act, may_raise=may_raise)

    return made


MERGED = {"merged": 1, "theme": "dark", "language": None}
OTHER = {"other": 1, "items_per_page": 25}
CHANGED = {"changed": 1, "compact_mode": False}
RAW = {"raw": 1, "date_format": "us", "timezone": None}
PREVIOUS = {"previous": 1, "items_per_page": 50}


@_part(3, NOBODY)
def merge(did: Did) -> None:
    """Our manager, in a transaction that stays open after the write."""
    with transaction.atomic(), each_statement():
        UserPreferences.objects.merge(FIRST, MERGED)
        pause()
    did(wrote(FIRST, MERGED))


@_part(3, NOBODY)
def merge_other(did: Did) -> None:
    """Our manager again, with other leaves of the same person."""
    with transaction.atomic(), each_statement():
        UserPreferences.objects.merge(FIRST, OTHER)
        pause()
    did(wrote(FIRST, OTHER))


@_part(2, NOBODY)
def merge_twice(did: Did) -> None:
    """One process that writes twice, in transactions of their own."""
    for leaves in ({"once": 1}, {"twice": 1}):
        UserPreferences.objects.merge(FIRST, leaves)
        did(wrote(FIRST, leaves))
        if "once" in leaves:
            pause()


@_part(3)
def change(did: Did) -> None:
    """A change to the documents of several people at once."""
    leaves = {name: [value] for name, value in CHANGED.items()}
    with transaction.atomic(), each_statement():
        found = UserPreferences.objects.change({SECOND: leaves, FIRST: leaves})
        pause()
    for person in found:
        did(wrote(person, CHANGED))


@_part(3, NOBODY)
def save_row(did: Did) -> None:
    """The ORM on a typed row."""
    row = UserPreferences(user_id=FIRST, compact_mode=True)
    with transaction.atomic(), each_statement():
        row.save()
        pause()
    did(wrote(FIRST, {"compact_mode": True}))


@_part(3, NOBODY)
def prepare(did: Did) -> None:
    """Our manager in a transaction that is prepared, and committed later by its name."""
    # All of a server's databases share these names, and processes that test share a server.
    gid = f"interleaved {os.getpid()}"
    with transaction.atomic():
        UserPreferences.objects.merge(FIRST, {"prepared": 1})
        pause()
        query(f"PREPARE TRANSACTION '{gid}'")
    pause()
    query(f"COMMIT PREPARED '{gid}'")
    did(wrote(FIRST, {"prepared": 1}))


def _assignment(leaves: Mapping[str, Any]) -> str:
    """SQL that sets and removes these leaves in the column."""
    removed = "".join(f" - '{name}'" for name, value in leaves.items() if value is None)
    kept = json.dumps({name: value for name, value in leaves.items() if value is not None})
    return f"preferences = (preferences{removed}) || '{kept}'"


def _raw(did: Did, leaves: Mapping[str, Any], condition: str) -> None:
    update = f"UPDATE accounts_user SET {_assignment(leaves)} WHERE {condition} RETURNING id"
    with transaction.atomic():
        found = [key for (key,) in query(update)]
        pause()
    for key in found:
        did(wrote({MOVED: FIRST}.get(key, key), leaves))


@_part(2, FROZEN)
def raw(did: Did) -> None:
    """SQL by hand on the column."""
    _raw(did, RAW, f"id = {FIRST}")


@_part(2, FROZEN)
def raw_of_all(did: Did) -> None:
    """SQL by hand on the column, for everybody."""
    _raw(did, RAW, "true")


def _raw_row(did: Did, table: str, assignment: str, leaves: Mapping[str, Any]) -> None:
    update = f"UPDATE {table} SET {assignment} WHERE user_id = {FIRST} RETURNING user_id"
    with transaction.atomic():
        found = query(update)
        pause()
    if found:
        did(wrote(FIRST, leaves))


@_part(2, FROZEN)
def raw_row(did: Did) -> None:
    """SQL by hand on a typed row, which nothing but its guard sees."""
    _raw_row(did, "user_preferences", "theme = 'light'", {"theme": "light"})


@_part(2, FROZEN)
def raw_notification_row(did: Did) -> None:
    """The same on the other typed table."""
    leaves = {"notifications": {"email": {"digest": "weekly"}}}
    _raw_row(did, "notification_preferences", "email_digest = 'weekly'", leaves)


@_part(3)
def raw_row_of_a_locked_user(did: Did) -> None:
    """SQL by hand on a typed row that locks its user first, as every write of ours does."""
    with transaction.atomic():
        query(f"SELECT FROM accounts_user WHERE id = {FIRST} FOR NO KEY UPDATE")
        pause()
        query(f"UPDATE user_preferences SET compact_mode = true WHERE user_id = {FIRST}")
        pause()
    did(wrote(FIRST, {"compact_mode": True}))


@_part(2, FROZEN, BESIDE)
def stamped(did: Did) -> None:
    """SQL by hand on the column, which a trigger of the site's then changes again."""
    leaves = {**RAW, "stamp": 1}
    asked = f"{_assignment(RAW)}, last_name = '{STAMPED}'"
    with transaction.atomic():
        query(f"UPDATE accounts_user SET {asked} WHERE id = {FIRST}")
        pause()
    did(wrote(FIRST, leaves))


@_part(2)
def hold(did: Did) -> None:
    """Somebody locks the row for another reason, and knows of no switches."""
    with transaction.atomic():
        query(f"UPDATE accounts_user SET last_name = 'held' WHERE id = {FIRST}")
        pause()


@_part(2, FROZEN)
def renumber(did: Did) -> None:
    """SQL by hand that makes another number of 1, equal to it: 1.0."""
    _raw(did, {"number": 1.0}, f"id = {FIRST}")


@_part(3, FROZEN)
def previous(did: Did) -> None:
    """The previous release: lock the row, change the document in Python, save it whole."""
    with transaction.atomic():
        found = query(
            f"SELECT preferences::text FROM accounts_user WHERE id = {FIRST} FOR NO KEY UPDATE"
        )
        pause()
        if found:
            document = json.dumps({**json.loads(found[0][0]), **PREVIOUS})
            query(f"UPDATE accounts_user SET preferences = '{document}' WHERE id = {FIRST}")
            pause()
    if found:
        did(wrote(FIRST, PREVIOUS))


@_part(3, NOBODY, FROZEN)
def both_ways(did: Did) -> None:
    """One transaction that writes by our manager, and then the column by hand."""
    with transaction.atomic():
        UserPreferences.objects.merge(FIRST, {"by manager": 1})
        pause()
        query(f"UPDATE accounts_user SET {_assignment({'by hand': 1})} WHERE id = {FIRST}")
        pause()
    did(wrote(FIRST, {"by manager": 1, "by hand": 1}))


@_part(2, "UnsupportedIsolation", "0A000", "40001", NOBODY)
def merge_in_one_snapshot(did: Did) -> None:
    """Our manager at REPEATABLE READ, which has to be refused."""
    with transaction.atomic():
        query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        query("SELECT FROM django_content_type")
        pause()
        UserPreferences.objects.merge(FIRST, MERGED)
    did(wrote(FIRST, MERGED))


@_part(2)
def read(did: Did) -> None:
    """A client that reads twice: by the canary, where it is up."""
    for again in (False, True):
        if again:
            pause()
        did(partial(_saw, UserPreferences.objects.document(FIRST)))


def _saw(document: Any, world: World) -> None:
    world.read(FIRST, document)


@_part(2)
def insert(did: Did) -> None:
    """A new person, with a document."""
    with transaction.atomic():
        query(
            "INSERT INTO accounts_user (id, username, password, first_name, last_name, email,"
            " is_superuser, is_staff, is_active, date_joined, preferences) VALUES"
            f" ({NEWCOMER}, 'new', '', '', '', '', false, false, true, now(), '{{\"new\": 1}}')"
        )
        pause()
    did(lambda world: world.documents.update({NEWCOMER: {"new": 1}}))


@_part(2)
def delete(did: Did) -> None:
    """A person goes."""
    with transaction.atomic():
        query(f"DELETE FROM accounts_user WHERE id IN ({FIRST}, {MOVED})")
        pause()
    did(lambda world: world.gone.add(FIRST))


@_part(2)
def rekey(did: Did) -> None:
    """A person gets another key."""
    with transaction.atomic():
        found = query(f"UPDATE accounts_user SET id = {MOVED} WHERE id = {FIRST} RETURNING id")
        pause()
    if found:
        did(_moved)


def _moved(world: World) -> None:
    world.keys[FIRST] = MOVED

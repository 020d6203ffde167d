"""A merge that lays columns over columns does what one does that takes documents apart."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from prefs.codec import unknown_leaves
from prefs.engine.seeding import blob, sample, usual_document
from prefs.mapping import LEAVES
from prefs.models import UserPreferences
from prefs.routing import Route
from prefs.sql import copying, writes
from tests.prefs.exactness import insert_users
from tests.support.tampering import turn

pytestmark = pytest.mark.django_db

USERS = 1_000
# Many documents are about as long, so that it decides.
MAX_BYTES = 450

PLAIN = '{"theme": "dark", "language": "de", "notifications": {"push": {"mentions": true}}}'
BETA = '{"beta": {"tour": 1}, "theme": "dark"}'


def leaf_patch(rng: random.Random) -> dict[str, Any]:
    """A patch of one leaf, mostly one that fits."""
    leaf = rng.choice(LEAVES)
    patch: Any = sample(leaf, rng)
    if rng.random() < 0.15:
        patch = rng.choice((None, "purple", {}, 5))
    for name in reversed(leaf.path):
        patch = {name: patch}
    assert isinstance(patch, dict)
    return patch


def random_patch(rng: random.Random) -> Any:
    """Of one leaf, of several, or of anything."""
    if rng.random() < 0.6:
        return leaf_patch(rng)
    patch: Any = usual_document(rng)
    if rng.random() < 0.5:
        patch[rng.choice((*patch, "x"))] = rng.choice((None, {}, [], 5, "x", {"x": None}))
    return rng.choice((patch, patch, patch, [patch], None, 5, {}))


Case = tuple[str | None, Any]
Answer = list[tuple[Any, ...]]


def at_random() -> Iterator[Case]:
    rng = random.Random(26)
    for _ in range(USERS):
        yield blob(rng, 0.3), random_patch(rng)


def merged(statement: str, user: int, patch: Any) -> tuple[Answer, Answer]:
    """What a writing statement answers, and the typed rows that it leaves; it is undone."""
    parameters: dict[str, Any] = {
        "user": user,
        "input": json.dumps(patch),
        "unknown": unknown_leaves(patch),
        "max_bytes": MAX_BYTES,
    }
    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute(statement, parameters)
        answer = cursor.fetchall()
        cursor.execute(
            "SELECT p::text, n::text FROM user_preferences p"
            " JOIN notification_preferences n USING (user_id) WHERE user_id = %s",
            [user],
        )
        rows = cursor.fetchall()
        transaction.set_rollback(True)
    return answer, rows


def compared(patching: str, cases: list[Case]) -> tuple[int, list[Case]]:
    """How many merges `patching` answered, and those where it did not do as it should."""
    with connection.cursor() as cursor:
        turn(Route.BLOB)
        users = insert_users(cursor, [text for text, _ in cases])
        cursor.execute(copying.copy_missing(), {"after": users[0] - 1, "upto": users[-1]})
        turn(Route.TABLES)
    wrong, answered = [], 0
    for user, (text, patch) in zip(users, cases, strict=True):
        quick = merged(patching, user, patch)
        if quick[0]:
            answered += 1
            right = merged(writes.writing(Route.TABLES, writes.MERGE), user, patch)
        else:
            # Whoever answers nothing has written nothing: a later statement does it all.
            right = [], merged("SELECT 1 WHERE false", user, patch)[1]
        if quick != right:
            wrong.append((text, patch))
    return answered, wrong


@pytest.mark.slow
def test_whatever_it_answers_and_writes_is_what_the_general_statement_does() -> None:
    answered, wrong = compared(writes.patching(), list(at_random()))
    assert wrong == []
    # Else this compared nothing: most patches are of a leaf, and most documents are plain.
    assert USERS / 4 < answered < USERS * 3 / 4


@pytest.mark.parametrize("document", [PLAIN, BETA, "{}", None, '{"theme": "light"}'])
@pytest.mark.parametrize(
    "patch",
    [
        {"theme": "light"},
        {"items_per_page": 10, "compact_mode": True},
        {"notifications": {"quiet_hours": {"start": "22:00"}, "email": {"digest": "off"}}},
    ],
    ids=str,
)
def test_it_is_what_answers_a_patch_of_leaves(document: str | None, patch: Any) -> None:
    assert compared(writes.patching(), [(document, patch)]) == (1, [])


FAULTS: dict[str, tuple[str, str, Case]] = {
    "a value that fits no column is dropped": (
        "g.whole AND",
        "true AND",
        (PLAIN, {"theme": "purple"}),
    ),
    "a key of nobody's in the patch is dropped": (
        "= '{}' ELSE false",
        "IS NOT NULL ELSE false",
        (PLAIN, {"theme": "light", "x": 1}),
    ),
    "an empty object in the patch is dropped": (
        """t."at_notifications" <> '{}'""",
        "true",
        (BETA, {"theme": "light", "notifications": {}}),
    ),
    "an unknown time zone is taken": (
        "cardinality(%(unknown)s::text[]) = 0",
        "true",
        (PLAIN, {"timezone": "Mars/Olympus"}),
    ),
    "a quarantined value stays beside the one that replaces it": (
        'NOT p."residue" ?| \'{theme,',
        'NOT p."residue" ?| \'{',
        ('{"theme": "purple"}', {"theme": "dark"}),
    ),
    "a residue that is no object is laid over": (
        "jsonb_typeof(p.\"residue\") = 'object' AND NOT",
        "NOT",
        ("[]", {"theme": "dark"}),
    ),
    "an empty document stays in the residue": (
        "NULLIF(p.\"residue\", '{}') AS residue",
        'p."residue" AS residue',
        ("{}", {"theme": "dark"}),
    ),
    "keys of nobody's are lost": (
        "NULLIF(p.\"residue\", '{}') AS residue",
        "NULL::jsonb AS residue",
        (BETA, {"theme": "light"}),
    ),
    "whatever its length": (
        "<= %(max_bytes)s",
        "> 0",
        ('{"theme": "dark", "x": "' + "x" * 440 + '"}', {"language": "pt-BR"}),
    ),
    "the stored leaf wins": (
        'COALESCE(g."theme", p."theme")',
        'COALESCE(p."theme", g."theme")',
        (PLAIN, {"theme": "light"}),
    ),
    "an answer that is not what PostgreSQL prints": (
        """'"theme": "'""",
        """'"theme":"'""",
        (PLAIN, {"theme": "light"}),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_it_is_noticed(name: str) -> None:
    correct, wrong, case = FAULTS[name]
    statement = writes.patching()
    assert compared(statement, [case])[1] == []
    assert correct in statement
    assert compared(statement.replace(correct, wrong), [case])[1] == [case]


def hot_updates() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'user_preferences'"
        )
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize("fill", [None, 100])
def test_a_copy_leaves_room_on_each_page_for_rows_that_change(fill: int | None) -> None:
    with connection.cursor() as cursor:
        if fill is not None:
            cursor.execute(f"ALTER TABLE user_preferences SET (fillfactor = {fill})")
        # A new file: pages where tests before this one have left room would say nothing.
        cursor.execute("CLUSTER user_preferences USING user_preferences_pkey")
        users = insert_users(cursor, [PLAIN] * 500)
        cursor.execute(copying.copy_missing(), {"after": users[0] - 1, "upto": users[-1]})
    turn(Route.TABLES)
    before = hot_updates()
    for user in users[::20]:
        UserPreferences.objects.merge(user, {"theme": "light"})
    # Where pages are filled, as by default, most do not stay.
    stayed = hot_updates() - before
    assert stayed == 25 if fill is None else stayed < 20, stayed

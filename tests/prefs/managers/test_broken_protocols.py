"""Each part of the write protocol, taken away on purpose: the check of it must notice.

The checks are those that the managers pass in test_concurrency and test_transactions. A
check that cannot fail shows nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError

from prefs import managers
from prefs.models import UserPreferences
from prefs.routing import Route
from prefs.sql import planned
from prefs.sql import writes as sql
from tests.prefs.managers.flips import ROUNDS, merged_while_the_route_moves
from tests.support import stores
from tests.support.places import EnterRoute
from tests.support.sessions import BOTH, FIRST, SECOND, merge_behind_another
from tests.support.stores import Place

pytestmark = pytest.mark.django_db(transaction=True)

LOCK = "FOR NO KEY UPDATE OF u"
Break = Callable[[pytest.MonkeyPatch], None]


def without_a_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first statement reads the route and locks nothing."""
    unlocked = sql.lock().replace(LOCK, "")
    assert unlocked != sql.lock()
    monkeypatch.setattr(sql, "lock", lambda: unlocked)
    # In TABLES the version that was read would give it away.
    create = planned.functions()["prefs_merge_tables"].create
    unwary = re.sub(r" AND d\.xmin = s\.\w+", "", create)
    assert unwary != create
    stores.query(unwary)


def with_lock_and_write_in_one_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stored is read by the statement that waits for the lock, so before the wait."""
    without_a_lock(monkeypatch)
    write = sql.writing
    row = f"SELECT u.id FROM accounts_user u WHERE u.id = %(user)s {LOCK}"

    def joined(route: Route, incoming: str) -> str:
        text = write(route, incoming, there=route.reads_tables)
        # The answer of a statement that takes any version of a row, and looks at none again.
        text = re.sub(r" AND d\.xmin = s\.\w+", "", text)
        text = re.sub(r"FROM sized s WHERE .*", "FROM sized s", text, flags=re.DOTALL)
        text = text.replace(", (SELECT i.doc FROM incoming i)", "")
        read = r'FROM (?="\?"\."accounts_user" u|\(SELECT\) one)'
        changed, places = re.subn(read, "FROM locked CROSS JOIN ", text, count=1)
        assert places == 1
        assert changed.startswith("WITH stored")
        return changed.replace("WITH", f"WITH locked AS MATERIALIZED ({row}),", 1)

    monkeypatch.setattr(sql, "write", joined)


def with_the_merge_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The patch is applied to a document that was read without the lock."""

    def merge(self: Any, user_id: Any, patch: dict[str, Any]) -> Any:
        return self.replace(user_id, merged(self.document(user_id), patch))

    monkeypatch.setattr(type(UserPreferences.objects), "merge", merge)


def merged(target: Any, patch: dict[str, Any]) -> dict[str, Any]:
    """A merge patch without removals, which is all that the check sends."""
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        result[key] = merged(result.get(key), value) if isinstance(value, dict) else value
    return result


@pytest.fixture(autouse=True)
def _as_it_was(transactional_db: None) -> Iterator[None]:
    """A function that a break has replaced comes back: others test in this database."""
    yield
    stores.query(planned.functions()["prefs_merge_tables"].create)


@pytest.mark.parametrize(
    "take_away",
    [without_a_lock, with_lock_and_write_in_one_statement, with_the_merge_in_python],
    ids=lambda function: function.__name__,
)
def test_a_merge_behind_another_loses_it(
    place: Place, take_away: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = stores.insert_user(place, "{}")
    take_away(monkeypatch)
    merge_behind_another(user)
    document = UserPreferences.objects.document(user)
    # It lost the first merge, and nothing told its writer.
    assert document != BOTH
    assert not FIRST.items() <= document.items()
    assert SECOND.items() <= document.items()


def with_a_remembered_route(monkeypatch: pytest.MonkeyPatch) -> None:
    """The route of the first write serves all that come after it."""
    lock = managers._lock
    remembered: list[Route] = []

    def remember(cursor: Any, key: Any) -> Route:
        remembered.append(lock(cursor, key))
        return remembered[0]

    monkeypatch.setattr(managers, "_lock", remember)


def test_a_remembered_route_loses_a_write(
    in_route: EnterRoute, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = stores.insert_user(in_route(Place.TABLES), "{}")
    with_a_remembered_route(monkeypatch)
    written, read = merged_while_the_route_moves(user, ROUNDS["backward"])
    assert read != written


def test_where_the_triggers_see_it_a_remembered_route_is_captured_and_at_last_refused(
    in_route: EnterRoute, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = stores.insert_user(in_route(Place.BLOB), "{}")
    with_a_remembered_route(monkeypatch)
    with pytest.raises(OperationalError, match=f"of user {user} is no longer written"):
        merged_while_the_route_moves(user, ROUNDS["forward"])
    assert UserPreferences.objects.document(user) == {
        f"key {number}": number for number in range(3)
    }

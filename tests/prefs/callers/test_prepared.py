"""Statements that the server prepared outlive flips, the drop of the column and its restore."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError

from prefs.engine.states import State
from prefs.models import NotificationPreferences, UserPreferences
from tests.prefs.callers.writing import change, merge, raw, replace
from tests.support.reaching import reached
from tests.support.sessions import Session, second_session
from tests.support.steps import ORDER, add_users, differences, go, rows, state, value

WAY = [*ORDER, *ORDER[-2::-1], *ORDER[1:]]
OPTIONS: dict[str, dict[str, Any]] = {
    "prepared at once": {"server_side_binding": True, "prepare_threshold": 0},
    "prepared at the third time": {"server_side_binding": True, "prepare_threshold": 2},
    "bound by the server": {"server_side_binding": True},
}


@pytest.fixture(params=list(OPTIONS.values()), ids=list(OPTIONS))
def options(request: pytest.FixtureRequest, site: str) -> Iterator[dict[str, Any]]:
    """Django's connections with prepared statements, of one kind after the other."""
    chosen: dict[str, Any] = request.param
    with reached(OPTIONS=chosen):
        yield chosen


class Client:
    """One session that stays open and does everything again after each transition."""

    def __init__(self, user: int) -> None:
        self.user, self.expected = user, dict[str, Any]()
        self.pid = value("SELECT pg_backend_pid()")

    def round(self, name: str) -> None:
        """Write in every way, twice each, and read in every way."""
        for number in range(2):
            for write in (merge, replace, change):
                key = f"{write.__name__} {number} in {name}"
                write(self.user, {key: number, "theme": "dark"})
                self.expected |= {key: number, "theme": "dark"}
        if not state().route.reads_tables:
            raw(self.user, f'{{"raw in {name}": 1}}')
            self.expected[f"raw in {name}"] = 1
        self.read()

    def read(self) -> None:
        preferences = UserPreferences.objects
        assert preferences.document(self.user) == self.expected
        assert preferences.documents([self.user]) == {self.user: self.expected}
        assert list(NotificationPreferences.objects.audience("email", "mentions")) == []
        user = get_user_model()._default_manager.get(pk=self.user)
        user.first_name += "."
        user.save()
        assert value("SELECT pg_backend_pid()") == self.pid


def elsewhere(session: Session, target: State) -> None:
    """Take the way to a state in another session, as a command would."""
    session.run(lambda: go(target))


@pytest.mark.slow
def test_a_session_that_stays_open_goes_all_the_way_twice(options: dict[str, Any]) -> None:
    client = Client(*add_users({}))
    with second_session() as session:
        for number, target in enumerate(WAY):
            elsewhere(session, target)
            client.round(f"{target} {number}")
    prepared = value("SELECT count(*) FROM pg_prepared_statements")
    assert (prepared > 10) == ("prepare_threshold" in options)


def test_the_column_comes_back_with_its_comment(options: dict[str, Any]) -> None:
    """DDL takes no parameters where the server binds them."""
    rows("COMMENT ON COLUMN accounts_user.preferences IS 'it''s 100 %'")
    go(State.DROPPED)
    go(State.MIRROR_OFF)
    comment = (
        "SELECT col_description(attrelid, attnum) FROM pg_attribute"
        " WHERE attrelid = 'accounts_user'::regclass AND attname = 'preferences'"
    )
    assert value(comment) == "it's 100 %"


def test_a_statement_that_names_no_columns_would_not_survive(site: str) -> None:
    """What the tests above would see, had a statement of ours such a result."""
    with reached(OPTIONS=OPTIONS["prepared at once"]), second_session() as session:
        statement = "SELECT * FROM accounts_user"
        rows(statement)
        elsewhere(session, State.DROPPED)
        with pytest.raises(DatabaseError, match="cached plan must not change result type"):
            rows(statement)


def test_an_open_session_outlives_flips_between_two_of_its_writes(
    options: dict[str, Any],
) -> None:
    client = Client(*add_users({}))
    go(State.DUAL_WRITE)
    client.round("before")
    with second_session() as session:
        elsewhere(session, State.READ_CUTOVER)
        client.round("after")
        elsewhere(session, State.EXPANDED)
        client.round("back")


@pytest.mark.slow
def test_the_capture_trigger_s_plans_survive_the_drop_and_the_restore(site: str) -> None:
    """Its plans are the session's: they were made for a column that is gone by now."""
    [user] = add_users({})
    with second_session() as session:
        for number in range(2):
            elsewhere(session, State.DUAL_WRITE)
            for again in range(8):
                raw(user, f'{{"theme": "dark", "round {number}": {again}}}')
            assert differences() == []
            elsewhere(session, State.READ_CUTOVER)
            raw(user, f'{{"theme": "light", "cutover {number}": 1}}')
            assert differences() == []
            elsewhere(session, State.MIRROR_OFF)
            with pytest.raises(DatabaseError, match="no longer written"):
                raw(user, '{"late": 1}')
            elsewhere(session, State.DROPPED)
            [new] = insert_without_column()
            elsewhere(session, State.MIRROR_OFF)
            assert UserPreferences.objects.document(new) == {}
            with pytest.raises(DatabaseError, match="no longer written"):
                raw(user, '{"late": 1}')
    assert UserPreferences.objects.document(user)["cutover 1"] == 1


def insert_without_column() -> list[int]:
    """A user made by raw SQL that knows no column of preferences."""
    return [
        key
        for (key,) in rows(
            "INSERT INTO accounts_user (username, password, first_name, last_name, email,"
            " is_superuser, is_staff, is_active, date_joined) SELECT gen_random_uuid(), '', '',"
            " '', '', false, false, true, now() RETURNING id"
        )
    ]

"""A new installation has nobody to move: it goes to the end in one transaction."""

from __future__ import annotations

import pytest

from prefs.ddl import LockNotObtained
from prefs.engine.gates import GateRefused
from prefs.engine.runs import Control
from prefs.engine.states import State
from prefs.models import Transition, UserPreferences
from tests.prefs import scratch
from tests.prefs.engine.refusals import records
from tests.prefs.engine.steps import (
    SOON,
    add_users,
    document_texts,
    go,
    in_thread,
    patient,
    rows,
    state,
    take,
    until,
    value,
)

INSERT = (
    b"INSERT INTO accounts_user (password, is_superuser, username, first_name, last_name, email,"
    b" is_staff, is_active, date_joined, preferences)"
    b" VALUES ('', false, 'late', '', '', '', false, true, now(), '{\"theme\": \"dark\"}')"
)


def test_without_users_the_column_goes_at_once_and_comes_back(site: str) -> None:
    before = rows(
        "SELECT attname, attnotnull FROM pg_attribute WHERE attnum > 0"
        " AND attrelid = 'accounts_user'::regclass ORDER BY attname"
    )
    taken = take(State.DROPPED)
    assert taken is not None
    assert [gate["gate"] for gate in taken.gates] == [
        "tables_intact",
        "no_users",
        "nothing_depends",
    ]
    assert dict(rows("SELECT name, active FROM waffle_switch")) == {
        "prefs_dual_write": False,
        "prefs_read_tables": True,
    }
    assert state() is State.DROPPED
    rows(
        "INSERT INTO accounts_user (password, is_superuser, username, first_name, last_name,"
        " email, is_staff, is_active, date_joined)"
        " VALUES ('', false, 'u', '', '', '', false, true, now())"
    )
    user = value("SELECT id FROM accounts_user")
    UserPreferences.objects.replace(user, {"theme": "dark"})
    go(State.EXPANDED)
    assert document_texts() == ['{"theme": "dark"}']
    after = rows(
        "SELECT attname, attnotnull FROM pg_attribute WHERE attnum > 0"
        " AND attrelid = 'accounts_user'::regclass AND NOT attisdropped ORDER BY attname"
    )
    assert after == before


def test_with_one_user_it_is_refused(site: str) -> None:
    add_users({"theme": "dark"})
    before = records()
    with pytest.raises(GateRefused, match="no_users: there are users"):
        take(State.DROPPED)
    assert records() == before


def test_somebody_who_registers_meanwhile_is_waited_for_and_not_lost(site: str) -> None:
    with scratch.connect(site) as visitor:
        visitor.execute("BEGIN")
        visitor.execute(INSERT)
        future = in_thread(lambda: take(State.DROPPED, patient(20)))
        until(lambda: value("SELECT count(*) FROM pg_locks WHERE NOT granted") > 0)
        visitor.execute("COMMIT")
        with pytest.raises(GateRefused, match="no_users: there are users"):
            future.result(10)
    assert (state(), Transition.objects.count()) == (State.EXPANDED, 0)
    assert document_texts() == ['{"theme": "dark"}']


def test_somebody_who_registers_for_long_makes_it_give_up(site: str) -> None:
    before = records()
    rows("SET statement_timeout = '5s'")
    with scratch.connect(site) as visitor:
        visitor.execute("BEGIN")
        visitor.execute(INSERT)
        with pytest.raises(LockNotObtained):
            take(State.DROPPED, patient(0.2))
        visitor.execute("ROLLBACK")
    assert records() == before


def test_the_switch_and_the_column_go_in_one_transaction(site: str) -> None:
    rows("CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$")
    rows(
        "CREATE TRIGGER fail BEFORE INSERT ON prefs_transition FOR EACH ROW EXECUTE FUNCTION fail()"
    )
    before = records()
    with pytest.raises(Exception, match="no"):
        take(State.DROPPED, SOON, Control())
    assert records() == before

"""A new installation has nobody to move: it goes to the end in one transaction."""

from __future__ import annotations

import pytest

from prefs.ddl import LockNotObtained
from prefs.engine.batches import Control
from prefs.engine.gates import GateRefused
from prefs.engine.states import SOUND, State
from prefs.models import Transition, UserPreferences
from tests.support import scratch
from tests.support.columns import definition
from tests.support.refusals import records
from tests.support.steps import (
    SOON,
    add_users,
    blob_texts,
    document_texts,
    go,
    in_thread,
    patient,
    rows,
    state,
    take,
    until,
    value,
    waiting_for_locks,
)

DARK = '{"theme": "dark"}'
INSERT = (
    "INSERT INTO accounts_user (password, is_superuser, username, first_name, last_name, email,"
    " is_staff, is_active, date_joined, preferences)"
    f" VALUES ('', false, 'late', '', '', '', false, true, now(), '{DARK}')"
)


def test_without_users_the_column_goes_at_once(site: str) -> None:
    taken = take(State.DROPPED)
    assert taken is not None
    gates = [gate["gate"] for gate in taken.gates]
    assert gates == [*SOUND, "no_users", "nothing_depends"]
    assert dict(rows("SELECT name, active FROM waffle_switch")) == {
        "prefs_dual_write": False,
        "prefs_read_tables": True,
    }
    assert state() is State.DROPPED


def test_its_first_user_keeps_their_document_all_the_way_back(site: str) -> None:
    made = definition()
    take(State.DROPPED)
    rows(INSERT.replace(", preferences)", ")").replace(f", '{DARK}')", ")"))
    user = value("SELECT id FROM accounts_user")
    assert UserPreferences.objects.replace(user, {"theme": "dark"}) == {"theme": "dark"}
    go(State.EXPANDED)
    assert document_texts() == blob_texts() == [DARK]
    assert definition() == made


def test_with_one_user_it_is_refused(site: str) -> None:
    add_users({"theme": "dark"})
    before = records()
    with pytest.raises(GateRefused, match="no_users: there are users"):
        take(State.DROPPED)
    assert records() == before


def test_somebody_who_registers_meanwhile_is_waited_for_and_not_lost(site: str) -> None:
    with scratch.connect(site) as visitor:
        visitor.execute("BEGIN")
        visitor.execute(INSERT.encode())
        future = in_thread(lambda: take(State.DROPPED, patient(20)))
        until(lambda: waiting_for_locks() > 0)
        visitor.execute("COMMIT")
        with pytest.raises(GateRefused, match="no_users: there are users"):
            future.result(10)
    assert (state(), Transition.objects.count()) == (State.EXPANDED, 0)
    assert document_texts() == [DARK]


def test_somebody_who_registers_for_long_makes_it_give_up(site: str) -> None:
    before = records()
    rows("SET statement_timeout = '5s'")
    with scratch.connect(site) as visitor:
        visitor.execute("BEGIN")
        visitor.execute(INSERT.encode())
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

"""A switch that is saved drains when it is committed, and leaves nothing when it is rolled back."""

from __future__ import annotations

import threading

import pytest
from django.db import transaction

from prefs.engine import switches
from prefs.engine.states import State
from prefs.engine.switches import SwitchRefused
from prefs.models import Transition, UserPreferences
from prefs.routing import DUAL_WRITE, READ_TABLES, SWITCHES
from tests.prefs.switches.turning import nothing_changes, switch
from tests.support import scratch
from tests.support.running import run
from tests.support.steps import (
    add_users,
    copy_all,
    differences,
    go,
    held_open,
    in_thread,
    rows,
    state,
    take,
    until,
    value,
)

WAITING = """SELECT count(*) FROM pg_stat_activity
  WHERE datname = current_database() AND wait_event_type = 'Lock'"""


def save(name: str, active: bool) -> None:
    found = switch(name)
    found.active = active
    found.save()


def unsettled() -> int:
    return Transition.objects.filter(settled_at=None).count()


def test_it_waits_for_a_writer_of_the_old_route(site: str) -> None:
    [user] = add_users({"theme": "dark"})
    with held_open(lambda: UserPreferences.objects.replace(user, {"theme": "light"})):
        saving = in_thread(lambda: save(DUAL_WRITE, active=True))
        until(Transition.objects.exists)
        threading.Event().wait(0.15)
        assert not saving.done()
        assert (state(), unsettled()) == (State.DUAL_WRITE, 1)
    saving.result(5)
    assert unsettled() == 0


def test_in_a_transaction_it_drains_once_that_commits(site: str) -> None:
    [user] = add_users({"theme": "dark"})

    def turn_in_a_transaction() -> None:
        with transaction.atomic():
            save(DUAL_WRITE, active=True)
            assert unsettled() == 1

    with held_open(lambda: UserPreferences.objects.replace(user, {"theme": "light"})):
        saving = in_thread(turn_in_a_transaction)
        until(Transition.objects.exists)
        threading.Event().wait(0.15)
        assert not saving.done()
        assert unsettled() == 1
    saving.result(5)
    assert (state(), unsettled()) == (State.DUAL_WRITE, 0)


@pytest.mark.parametrize("in_a_savepoint", [False, True])
def test_rolled_back_it_has_done_nothing(site: str, in_a_savepoint: bool) -> None:
    before = rows("SELECT * FROM prefs_audit")
    with nothing_changes(), transaction.atomic():
        with transaction.atomic():
            save(DUAL_WRITE, active=True)
            transaction.set_rollback(True)
        if not in_a_savepoint:
            transaction.set_rollback(True)
    assert rows("SELECT * FROM prefs_audit") == before
    save(DUAL_WRITE, active=True)
    assert (state(), unsettled()) == (State.DUAL_WRITE, 0)


def test_after_a_savepoint_that_was_rolled_back_it_can_be_turned(site: str) -> None:
    with transaction.atomic():
        with transaction.atomic():
            save(DUAL_WRITE, active=True)
            transaction.set_rollback(True)
        save(DUAL_WRITE, active=True)
    assert (state(), Transition.objects.count(), unsettled()) == (State.DUAL_WRITE, 1, 0)


@pytest.mark.parametrize("finisher", ["verify_prefs", "advance_prefs"])
def test_a_drain_that_takes_too_long_is_finished_by_whoever_comes_next(
    site: str, monkeypatch: pytest.MonkeyPatch, finisher: str
) -> None:
    assert switches._DRAIN_TIMEOUT == 10
    monkeypatch.setattr(switches, "_DRAIN_TIMEOUT", 0.1)
    [user] = add_users({"theme": "dark"})
    copy_all()
    with held_open(lambda: UserPreferences.objects.replace(user, {"theme": "light"})):
        save(DUAL_WRITE, active=True)
        assert (state(), unsettled()) == (State.DUAL_WRITE, 1)
        with pytest.raises(SwitchRefused, match=r"expanded to dual_write \(number \d+\) has not"):
            save(DUAL_WRITE, active=False)
        assert run("status_prefs", "--json").json["waits_for"]
    assert run(finisher).status == (3 if finisher == "verify_prefs" else 0)
    assert unsettled() == 0
    assert differences() == [user]


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_another_isolation_level_is_refused(site: str, level: str) -> None:
    with nothing_changes(), transaction.atomic():
        rows(f"SET TRANSACTION ISOLATION LEVEL {level}")
        with pytest.raises(SwitchRefused, match=f"this transaction is at {level}"):
            save(DUAL_WRITE, active=True)
        UserPreferences.objects.count()


def test_a_stale_instance_that_saves_another_field_alone_turns_nothing(site: str) -> None:
    stale = switch(DUAL_WRITE)
    take(State.DUAL_WRITE)
    stale.note = "a note"
    stale.save(update_fields=["note"])
    assert (state(), switch(DUAL_WRITE).note) == (State.DUAL_WRITE, "a note")


def test_a_stale_instance_that_saves_all_of_itself_is_a_flip_under_gates(site: str) -> None:
    stale = switch(READ_TABLES)
    add_users({"theme": "dark"})
    go(State.READ_CUTOVER)
    stale.note = "a note"
    stale.save()
    back = Transition.objects.latest("id")
    assert (back.from_state, back.to_state) == ("read_cutover", "dual_write")
    assert back.settled_at is not None
    stale.active = True
    with pytest.raises(SwitchRefused, match="began before the last flip had drained"):
        stale.save()


def test_a_switch_that_moved_on_between_the_look_and_the_save_is_not_turned_back(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = switch(DUAL_WRITE)
    model = type(found)
    save_table = model._save_table

    def late(self: object, *arguments: object, **options: object) -> object:
        in_thread(lambda: take(State.DUAL_WRITE)).result(10)
        return save_table(self, *arguments, **options)

    monkeypatch.setattr(model, "_save_table", late)
    with pytest.raises(Exception, match="a switch is turned under gates"):
        found.save()
    assert state() is State.DUAL_WRITE


def test_both_switches_in_one_transaction_are_refused(site: str) -> None:
    go(State.READ_CUTOVER)
    with (
        nothing_changes(),
        pytest.raises(SwitchRefused, match="Turn one switch at a time"),
        transaction.atomic(),
    ):
        turn_both_off()


def turn_both_off() -> None:
    for name in reversed(SWITCHES):
        save(name, active=False)


def test_without_that_refusal_a_write_would_be_lost(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switches, "_refuse_transaction", lambda *_: None)
    monkeypatch.setattr(switches, "_DRAIN_TIMEOUT", 0.1)
    [user] = add_users({})
    go(State.READ_CUTOVER)
    with scratch.connect(site) as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT FROM accounts_user WHERE id = %s FOR NO KEY UPDATE", [user])
        with held_open(turn_both_off):
            late = in_thread(lambda: UserPreferences.objects.merge(user, {"by the old route": 1}))
            until(lambda: value(WAITING) == 1)
        assert state() is State.EXPANDED
        holder.execute("UPDATE accounts_user SET preferences = '{\"acknowledged\": 1}'")
        holder.execute("COMMIT")
        late.result(10)
    assert UserPreferences.objects.document(user) == {"by the old route": 1}

"""A correction: exact in both stores, in every route, and never over what somebody wrote since."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from prefs.engine.audit import acting_as
from prefs.engine.batches import Control, LockUnavailable
from prefs.engine.corrections import Corrected, Correction, Unfit, correct, correct_users
from prefs.engine.quarantine import NotJson, Selection, counts, listed
from prefs.engine.states import State
from prefs.managers import UnsupportedIsolation
from prefs.models import AuditEntry, Run, UserPreferences
from prefs.routing import MissingSwitch
from prefs.sql import quarantine as sql
from tests.support import scratch
from tests.support.steps import (
    ALIAS,
    SOON,
    TESTER,
    add_users,
    copy_all,
    differences,
    document_texts,
    go,
    held_open,
    in_thread,
    patient,
    rows,
    until,
    value,
)
from tests.support.stores import versions
from tests.support.tampering import remove_switches

FLAG = Correction(leaf="compact_mode", value='"true"', new="true")
WAITING = """SELECT count(*) FROM pg_stat_activity
  WHERE datname = current_database() AND wait_event_type = 'Lock'"""


def place(state: State, *documents: object) -> list[int]:
    """Users with these documents, copied, in a state."""
    users = add_users(*documents)
    copy_all()
    go(state)
    return users


def corrected(correction: Correction, **control: Any) -> Corrected:
    with acting_as(TESTER):
        return correct(ALIAS, correction, SOON, Control(**control))


def assert_equal_stores(state: State) -> None:
    if state in (State.EXPANDED, State.DUAL_WRITE, State.READ_CUTOVER):
        assert differences() == []


EXACT = {
    "a flag": (FLAG, '{"compact_mode": "true", "x": 1.50}', '{"x": 1.50, "compact_mode": true}'),
    "a number": (
        Correction(leaf="items_per_page", value="10.0", new="10"),
        '{"items_per_page": 10.0}',
        '{"items_per_page": 10}',
    ),
    "a leaf taken out": (
        Correction(leaf="notifications.quiet_hours.end", value="null", new=None),
        '{"notifications": {"quiet_hours": {"end": null, "start": "22:00"}}}',
        '{"notifications": {"quiet_hours": {"start": "22:00"}}}',
    ),
    "the last leaf of an object": (
        Correction(leaf="notifications.email.digest", value='""', new=None),
        '{"theme": "dark", "notifications": {"email": {"digest": ""}}}',
        '{"theme": "dark", "notifications": {"email": {}}}',
    ),
    "a parent taken out": (
        Correction(leaf="notifications", value="null", new=None),
        '{"theme": "dark", "notifications": null}',
        '{"theme": "dark"}',
    ),
    "a parent made an object": (
        Correction(leaf="notifications.email", value='"off"', new='{"digest": "off", "x": 1.50}'),
        '{"notifications": {"email": "off"}}',
        '{"notifications": {"email": {"x": 1.50, "digest": "off"}}}',
    ),
    "a document": (
        Correction(leaf="", value="null", new='{"theme": "dark"}'),
        "null",
        '{"theme": "dark"}',
    ),
    "a document emptied": (Correction(leaf="", value='["x"]', new=None), '["x"]', "{}"),
}
# Users whom none of these corrections is about.
OTHERS = (
    '{"items_per_page": 10.00, "compact_mode": "True"}',
    '{"compact_mode": "true ", "notifications": {"email": "Off", "quiet_hours": null}}',
    '{"nested": {"compact_mode": "true"}, "compact_mode": true}',
    "[]",
    None,
)


@pytest.mark.parametrize("state", State)
def test_both_stores_are_exact_after_it_and_nobody_else_is_touched(site: str, state: State) -> None:
    before = [case[1] for case in EXACT.values()]
    users = place(state, *before, *OTHERS)
    others = users[len(EXACT) :]
    untouched, texts = [versions(user) for user in others], document_texts()
    for correction, _, _ in EXACT.values():
        done = corrected(correction)
        assert (done.users, done.skipped) == (1, 0)
        assert corrected(correction).users == 0
        assert counts(ALIAS, correction) == []
    after = [case[2] for case in EXACT.values()]
    assert document_texts() == [*after, *texts[len(EXACT) :]]
    assert [versions(user) for user in others] == untouched
    assert value("SELECT compact_mode FROM user_preferences WHERE user_id = %s", users[0]) is True
    assert_equal_stores(state)


@pytest.mark.parametrize("state", State)
def test_one_user_is_corrected_whatever_the_value_is(site: str, state: State) -> None:
    first, second = place(state, {"theme": "purple"}, {"theme": "purple"})
    done = corrected(Correction(leaf="theme", user=second, new='"dark"'))
    assert (done.users, done.skipped, done.run) == (1, 0, None)
    assert document_texts() == ['{"theme": "purple"}', '{"theme": "dark"}']
    assert [entry.user for entry in listed(ALIAS, Selection(), limit=5)] == [first]
    assert corrected(Correction(leaf="theme", user=10**9, new='"dark"')).users == 0
    assert_equal_stores(state)


@pytest.mark.parametrize(
    ("leaf", "new", "error", "message"),
    [
        ("compact_mode", '"true"', Unfit, 'compact_mode: "true" is not true or false'),
        ("compact_mode", "null", Unfit, "compact_mode: null is not true or false"),
        ("items_per_page", "10.0", Unfit, "10.0 is not an integer from 1 to 500"),
        ("timezone", '"Mars/Olympus"', Unfit, '"Mars/Olympus" is not an IANA time zone'),
        ("notifications", "[]", Unfit, r"notifications: \[\] is not an object"),
        ("notifications", '{"sms": {"security": 1}}', Unfit, "notifications.sms.security: 1 is"),
        ("", '{"timezone": "FOO5"}', Unfit, "timezone: .* is not an IANA time zone"),
        ("", "null", Unfit, "document: null is not an object"),
        ("theme", "dark", NotJson, "'\"dark\"'"),
        ("theme", "NaN", NotJson, "is not JSON"),
        ("theme", '"\\u0000"', NotJson, "is not JSON"),
        ("theme", '"dark"}, "x": {"y": 1', NotJson, "is not JSON"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_and_nothing_is_changed(
    site: str, leaf: str, new: str, error: type[Exception], message: str
) -> None:
    [user] = place(State.EXPANDED, {"compact_mode": "x", "theme": "x", "notifications": None})
    before = versions(user)
    with pytest.raises(error, match=message):
        corrected(Correction(leaf=leaf, value='"x"', new=new))
    with pytest.raises(NotJson):
        corrected(Correction(leaf="theme", value="x", new=None))
    assert versions(user) == before
    assert not Run.objects.filter(kind="correction").exists()
    assert not AuditEntry.objects.filter(event="correction").exists()


def merging(user: int, patch: dict[str, object]) -> Callable[[], object]:
    return lambda: UserPreferences.objects.merge(user, patch)


def behind(work: Callable[[], object], user: int, correction: Correction = FLAG) -> int:
    """How many are corrected by who chose `user`, then had to wait until `work` was committed."""

    def batch() -> int:
        with transaction.atomic(), connection.cursor() as cursor:
            return correct_users(cursor, [user], correction)

    with held_open(work):
        future = in_thread(batch)
        until(lambda: future.done() or value(WAITING) == 1)
    return future.result(10)


@pytest.mark.parametrize("state", State)
def test_a_value_that_was_changed_meanwhile_is_skipped(site: str, state: State) -> None:
    [user] = place(state, {"compact_mode": "true"})
    assert behind(merging(user, {"compact_mode": False}), user) == 0
    assert document_texts() == ['{"compact_mode": false}']
    assert_equal_stores(state)


@pytest.mark.parametrize("state", State)
def test_without_the_second_look_what_was_written_meanwhile_is_lost(
    site: str, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "still_holders", lambda route: "SELECT unnest(%(ids)s::bigint[])")
    [user] = place(state, {"compact_mode": "true"})
    assert behind(merging(user, {"compact_mode": False}), user) == 1
    assert document_texts() == ['{"compact_mode": true}']


@pytest.mark.parametrize("state", State)
def test_a_merge_of_another_leaf_meanwhile_survives(site: str, state: State) -> None:
    [user] = place(state, {"compact_mode": "true"})
    assert behind(merging(user, {"language": "de"}), user) == 1
    assert document_texts() == ['{"language": "de", "compact_mode": true}']
    assert_equal_stores(state)


@pytest.mark.parametrize("state", State)
def test_under_live_merges_everybody_is_corrected_and_no_merge_is_lost(
    site: str, state: State
) -> None:
    users = place(state, *({"compact_mode": "true"} for _ in range(60)))
    begun: list[int] = []

    def merge() -> None:
        for number in range(1, 5):
            for user in users:
                UserPreferences.objects.merge(user, {"items_per_page": number, "n": number})
                begun.append(user)

    writer = in_thread(merge)
    until(lambda: len(begun) > 20)
    done = correct(ALIAS, FLAG, patient(30), Control(batch_size=8))
    assert not writer.done()
    writer.result(30)
    assert (done.users, done.skipped) == (60, 0)
    assert set(document_texts()) == {'{"n": 4, "compact_mode": true, "items_per_page": 4}'}
    if state is not State.EXPANDED:  # There a merge writes the blob alone.
        assert_equal_stores(state)


def test_a_copy_that_is_behind_its_blob_is_skipped_and_brought_up_to_date(site: str) -> None:
    [user] = place(State.EXPANDED, {"compact_mode": "true"})
    UserPreferences.objects.replace(user, {"theme": "dark"})
    assert [count.users for count in counts(ALIAS)] == [1]
    done = corrected(FLAG)
    assert (done.users, done.skipped) == (0, 1)
    assert document_texts() == ['{"theme": "dark"}']
    assert (counts(ALIAS), differences()) == ([], [])


def test_a_row_that_stays_locked_stops_it_and_the_next_goes_on(site: str) -> None:
    users = place(State.DUAL_WRITE, *({"compact_mode": "true"} for _ in range(10)))
    with scratch.connect(site) as session:
        session.execute("BEGIN")
        session.execute("SELECT FROM accounts_user WHERE id = %s FOR UPDATE", [users[6]])
        with pytest.raises(LockUnavailable):
            correct(ALIAS, FLAG, patient(0.3), Control(batch_size=3))
    first = Run.objects.get(kind="correction")
    assert (first.status, first.repaired) == ("failed", 6)
    assert differences() == []
    assert corrected(FLAG).users == 4
    assert set(document_texts()) == {'{"compact_mode": true}'}


def test_it_is_signed_with_its_rule_and_its_counts(site: str) -> None:
    [user, _] = place(State.EXPANDED, {"compact_mode": "true"}, {"theme": 1})
    run = corrected(FLAG).run
    corrected(Correction(leaf="theme", user=user, new=None))
    begun, ended, one = AuditEntry.objects.filter(event="correction").order_by("id")
    rule = {"leaf": "compact_mode", "value": '"true"', "new": "true", "user": None}
    assert run is not None
    assert begun.figures.items() >= {**rule, "run": run.pk}.items()
    assert ended.figures.items() >= {**rule, "run": run.pk, "users": 1, "skipped": 0}.items()
    assert one.figures.items() >= {"user": user, "new": None, "users": 0}.items()
    assert {(e.actor, e.reason) for e in (begun, ended, one)} == {("tester", "a test")}


def test_at_another_isolation_level_or_without_a_switch_nobody_is_corrected(site: str) -> None:
    [user] = place(State.DUAL_WRITE, {"compact_mode": "true"})
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with pytest.raises(UnsupportedIsolation):
            correct_users(cursor, [user], FLAG)
    remove_switches("prefs_dual_write")
    with pytest.raises(MissingSwitch):
        corrected(FLAG)
    assert rows("SELECT preferences::text FROM accounts_user") == [('{"compact_mode": "true"}',)]

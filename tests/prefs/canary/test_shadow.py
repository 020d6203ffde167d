"""Shadow reads find what differs, name it without a value, end the canary, and fail no read."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction

from prefs import conf, shadow
from prefs.engine.evidence import database_now
from prefs.engine.gates import GateRefused
from prefs.engine.states import State
from prefs.models import AuditEntry, Mismatch, ShadowReads, UserPreferences
from prefs.routing import SHADOW
from prefs.sql import shadow as sql
from tests.prefs.canary.raising import chosen, force, percent, set_sample, verified
from tests.support.running import run
from tests.support.scratch import aliased
from tests.support.steps import (
    ALIAS,
    SOON,
    add_users,
    go,
    held_open,
    in_thread,
    part_blob,
    rows,
    take,
    until,
    verify_all,
)
from tests.support.stores import blob_text, tables_text
from tests.support.tampering import tamper

User: Any = get_user_model()
DOCUMENT = {"theme": "dark", "items_per_page": 25, "beta": {"x": 1}}


@pytest.fixture(autouse=True)
def nothing_waits(site: str) -> Iterator[None]:
    yield
    shadow.settle()


def compared(users: int = 20) -> list[int]:
    """Users of a site in dual_write, verified, where each document read also compares."""
    keys = add_users(*([DOCUMENT] * users))
    verified()
    force(100, SHADOW)
    return keys


READERS: dict[str, Callable[[int], Any]] = {
    "document": UserPreferences.objects.document,
    "documents": lambda key: UserPreferences.objects.documents([key])[key],
    "an instance": lambda key: User.objects.get(pk=key).preferences,
    "instances": lambda key: next(iter(User.objects.filter(pk=key))).preferences,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
def test_a_mismatch_names_user_and_leaves_and_holds_no_value(
    site: str, read: Callable[[int], Any]
) -> None:
    first, second, *_ = compared()
    other = {**DOCUMENT, "theme": "light", "beta": {"x": 2}}
    part_blob(second, other)
    assert (read(first), read(second)) == (DOCUMENT, other)
    shadow.settle()
    found = Mismatch.objects.get()
    digests = [
        hashlib.sha256((text or "").encode()).hexdigest()
        for text in (blob_text(second), tables_text(second))
    ]
    assert (found.pk, found.leaves, found.times) == (second, ["theme"], 1)
    assert [found.blob_digest, found.tables_digest] == digests
    read(second)
    shadow.settle()
    assert Mismatch.objects.get().times == 2


ODD: dict[str, tuple[Callable[[int], None], list[str]]] = {
    "in no column": (lambda user: part_blob(user, {**DOCUMENT, "beta": 2}), ["residue"]),
    "a leaf that is gone": (lambda user: part_blob(user, {"theme": "dark"}), ["items_per_page"]),
    "a row that is gone": (
        lambda user: tamper("DELETE FROM user_preferences WHERE user_id = %s", user),
        ["theme", "items_per_page"],
    ),
    "SQL NULL": (lambda user: part_blob(user, None), ["theme", "items_per_page"]),
    "another scale": (
        lambda user: tamper(
            "UPDATE accounts_user SET preferences = jsonb_set(preferences, '{items_per_page}',"
            " '25.0') WHERE id = %s",
            user,
        ),
        ["items_per_page"],
    ),
}


@pytest.mark.parametrize("kind", ODD)
def test_every_kind_of_difference_is_found(site: str, kind: str) -> None:
    damage, leaves = ODD[kind]
    [user] = compared(1)
    damage(user)
    UserPreferences.objects.document(user)
    shadow.settle()
    assert sorted(Mismatch.objects.get().leaves) == sorted(leaves)


@pytest.mark.slow
def test_a_damaged_store_ends_the_canary_within_a_second_and_no_answer_fails(
    site: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The canary at 10 %, all reads compared, one store damaged on purpose."""
    keys = compared(400)
    set_sample(10)
    served = chosen(keys, 10)
    victim = served[len(served) // 2]
    part_blob(victim, {**DOCUMENT, "theme": "light"})
    began = database_now(ALIAS)
    answers = {key: UserPreferences.objects.document(key) for key in [victim, *keys]}
    until(lambda: percent() == 0)
    entry = AuditEntry.objects.latest("id")
    took = (entry.recorded_at - began).total_seconds()
    with capsys.disabled():
        sys.stdout.write(f"\nthe canary was back at 0 after {took * 1000:.0f} ms\n")
    until(lambda: bool(Mismatch.objects.count()))
    assert set(answers) == set(keys)
    mismatch = Mismatch.objects.get()
    assert (mismatch.pk, mismatch.leaves) == (victim, ["theme"])
    assert (entry.event, entry.subject) == ("sample", "canary from 10.0 % to 0 %")
    assert f"the stores of user {victim}" in entry.reason
    assert entry.figures == {"user": victim, "leaves": ["theme"]}
    assert took < 1


def test_a_mismatch_ends_a_canary_that_is_just_being_raised(site: str) -> None:
    """What was being raised when the mismatch was told is lowered: the return is not too early."""
    [user] = compared(1)
    part_blob(user, {"theme": "light"})
    with held_open(lambda: set_sample(30)):
        assert percent() == 0
        UserPreferences.objects.document(user)
        telling = in_thread(shadow.settle)
        until(lambda: bool(rows("SELECT 1 FROM pg_locks WHERE NOT granted")))
        assert not telling.done()
    telling.result(10)
    assert percent() == 0
    assert AuditEntry.objects.latest("id").subject == "canary from 30.0 % to 0 %"


@pytest.mark.slow
def test_after_a_mismatch_the_canary_stays_down_until_a_verification_found_none(site: str) -> None:
    [user, *_] = compared()
    set_sample(5)
    part_blob(user, {"theme": "light"})
    UserPreferences.objects.document(user)
    shadow.settle()
    with pytest.raises(GateRefused, match="shadow reads found 1 users to differ since run"):
        set_sample(5)
    outcome = run("status_prefs", "--json", "--check")
    assert outcome.status == 3
    assert outcome.json["next_command"] == "manage.py verify_prefs"
    assert [each["user"] for each in outcome.json["mismatches"]] == [user]
    assert f"user {user}: " in run("status_prefs").out
    verify_all(repair=True)
    with pytest.raises(GateRefused, match="found 1 users whose stores differ"):
        set_sample(5)
    verify_all()
    set_sample(5)
    assert run("status_prefs", "--check").status == 0
    assert [m.pk for m in Mismatch.objects.all()] == [user]


def test_after_the_cutover_it_blocks_mirror_off_until_a_verification_found_none(site: str) -> None:
    [user, *_] = compared()
    take(State.READ_CUTOVER)
    verify_all()
    part_blob(user, {"theme": "light"})
    assert UserPreferences.objects.document(user) == DOCUMENT
    shadow.settle()
    with pytest.raises(GateRefused, match="verified: shadow reads found 1 users to differ"):
        take(State.MIRROR_OFF)
    verify_all(repair=True)
    verify_all()
    take(State.MIRROR_OFF)


def _in_expanded() -> None:
    go(State.EXPANDED)


def _not_verified() -> None:
    rows("DELETE FROM prefs_run")


def _verified_before_the_flip() -> None:
    take(State.READ_CUTOVER)


def _with_differences() -> None:
    verify_all()


def _open_flip() -> None:
    rows("UPDATE prefs_transition SET settled_at = NULL")


@pytest.mark.parametrize(
    "otherwise",
    [_in_expanded, _not_verified, _verified_before_the_flip, _with_differences, _open_flip],
)
def test_nothing_is_compared_where_no_verification_stands(
    site: str, otherwise: Callable[[], None]
) -> None:
    [user, *_] = compared(2)
    part_blob(user, {"theme": "light"})
    otherwise()
    UserPreferences.objects.document(user)
    User.objects.get(pk=user)
    shadow.settle()
    assert not Mismatch.objects.exists()


def test_at_zero_and_for_what_cannot_be_read_nothing_is_compared(site: str) -> None:
    [user] = compared(1)
    part_blob(user, {"theme": "light"})
    force(0, SHADOW)
    UserPreferences.objects.document(user)
    shadow.settle()
    assert not ShadowReads.objects.exists()


def test_what_is_written_meanwhile_is_no_mismatch(site: str) -> None:
    """A writer between its two statements, a transaction's own writes: one snapshot has all."""
    [user] = compared(1)
    with held_open(lambda: UserPreferences.objects.merge(user, {"theme": "light"})):
        assert UserPreferences.objects.document(user) == DOCUMENT
        with transaction.atomic():
            pass
    with transaction.atomic():
        UserPreferences.objects.merge(user, {"theme": "system"})
        assert UserPreferences.objects.document(user)["theme"] == "system"
        transaction.set_rollback(True)
    shadow.settle()
    assert not Mismatch.objects.exists()
    assert rows("SELECT differing, failed FROM prefs_shadow") in ([], [(0, 0)])


# --- it fails no read ----------------------------------------------------------------


def damage_function(how: str) -> None:
    tamper(how)


FAILURES = {
    "the function is gone": f"DROP FUNCTION {sql.COMPARE}(bigint[], integer)",
    "the other function is gone": f"DROP FUNCTION {sql.STANDS}()",
    "the records are gone": "ALTER TABLE prefs_run RENAME TO prefs_run_",
    "the mismatches are gone": "ALTER TABLE prefs_mismatch RENAME TO prefs_mismatch_",
}


@pytest.mark.parametrize("atomic", [False, True], ids=["autocommit", "atomic"])
@pytest.mark.parametrize("how", FAILURES)
def test_a_read_is_answered_and_its_transaction_goes_on_where(
    site: str, monkeypatch: pytest.MonkeyPatch, how: str, atomic: bool
) -> None:
    monkeypatch.setattr(shadow, "_AGAIN", 0.0)
    [user] = compared(1)
    part_blob(user, {"theme": "light"})
    rows(FAILURES[how])
    if atomic:
        with transaction.atomic():
            assert UserPreferences.objects.document(user) == {"theme": "light"}
            assert User.objects.get(pk=user).preferences == {"theme": "light"}
            assert rows("SELECT 1") == [(1,)]
    else:
        assert UserPreferences.objects.document(user) == {"theme": "light"}
        assert User.objects.get(pk=user).preferences == {"theme": "light"}
    shadow.settle()


def test_in_a_read_only_transaction_the_mismatch_is_told_all_the_same(site: str) -> None:
    [user] = compared(1)
    part_blob(user, {"theme": "light"})
    with transaction.atomic():
        rows("SET TRANSACTION READ ONLY")
        assert UserPreferences.objects.document(user) == {"theme": "light"}
        shadow.settle()
    assert Mismatch.objects.get().pk == user


def test_what_a_replica_finds_is_told_to_the_primary(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [user] = compared(1)
    part_blob(user, {"theme": "light"})
    monkeypatch.setattr(conf, "current", lambda: replace(SOON, replicas=("replica",)))
    with aliased(site) as alias:
        told: list[str] = []
        monkeypatch.setattr(shadow, "_write", lambda alias, *_: told.append(alias))
        manager = UserPreferences.objects.db_manager(alias)
        assert manager.document(user) == {"theme": "light"}
        shadow.settle()
    assert set(told) == {ALIAS}


def test_it_waits_for_a_lock_no_longer_than_its_budget(site: str) -> None:
    [user] = compared(1)

    def lock() -> None:
        for table in ("prefs_run", "prefs_transition", "user_preferences"):
            rows(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")

    with held_open(lock):
        began = time.monotonic()
        shadow.compare(ALIAS, [user])
        took = time.monotonic() - began
    assert took < conf.current().shadow_budget.total_seconds()
    assert rows("SHOW lock_timeout") == [("0",)]
    shadow.settle()


def test_the_time_limits_of_the_caller_s_session_are_as_they_were(site: str) -> None:
    [user] = compared(1)
    with transaction.atomic():
        rows("SET LOCAL lock_timeout = '7s'")
        shadow.compare(ALIAS, [user])
        assert rows("SHOW lock_timeout") == [("7s",)]


def test_reads_are_counted_and_mismatches_are_capped(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = compared(5)
    monkeypatch.setattr(shadow, "_COUNT_EVERY", 0.0)
    for key in keys:
        UserPreferences.objects.document(key)
    UserPreferences.objects.documents(keys)
    shadow.settle()
    assert rows("SELECT compared, differing, failed FROM prefs_shadow") == [(10, 0, 0)]
    rows(
        "INSERT INTO accounts_user (username, password, first_name, last_name, email, is_superuser,"
        " is_staff, is_active, date_joined) SELECT 'm' || n, '', '', '', '', false, false, true,"
        f" now() FROM generate_series(1, {sql.MOST_MISMATCHES + 20}) n"
    )
    rows(
        "INSERT INTO prefs_mismatch (user_id, leaves, times, first_found_at, found_at)"
        " SELECT id, '[]', 1, now(), clock_timestamp() FROM accounts_user WHERE username ~ '^m'"
    )
    assert Mismatch.objects.count() == sql.MOST_MISMATCHES


def test_a_mismatch_goes_with_its_user_and_follows_their_key(site: str) -> None:
    first, second = compared(2)
    for key in (first, second):
        part_blob(key, {"theme": "light"})
        UserPreferences.objects.document(key)
    shadow.settle()
    force(0)
    entries = AuditEntry.objects.count()
    rows("UPDATE accounts_user SET id = 900001 WHERE id = %s", first)
    rows("DELETE FROM accounts_user WHERE id = %s", second)
    assert list(Mismatch.objects.values_list("pk", flat=True)) == [900001]
    assert AuditEntry.objects.count() == entries


def test_some_reads_are_compared_by_chance(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = compared(50)
    force(30, SHADOW)
    seen: list[int] = []
    monkeypatch.setattr(shadow, "compare", lambda _, some: seen.extend(some))
    for _ in range(20):
        UserPreferences.objects.documents(keys)
        list(User.objects.filter(pk__in=keys))
    # Of 2,000 reads 600 are expected, with a deviation of 20.
    assert 480 < len(seen) < 720
    assert len(set(seen)) == 50

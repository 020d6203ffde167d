"""A verification finds every kind of difference, and only a complete one counts."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError

from prefs.engine.batches import ColumnGone, Control
from prefs.engine.states import State
from prefs.engine.verification import verify, verify_sample
from prefs.models import Run, UserPreferences
from tests.support import scratch
from tests.support.columns import VARIED
from tests.support.steps import (
    ALIAS,
    SOON,
    add_users,
    copy_all,
    document_texts,
    go,
    many_users,
    rows,
    stops_after,
    take,
    verify_all,
)
from tests.support.tampering import drop_column, tamper

_BLOB = "UPDATE accounts_user SET preferences = {} WHERE id = %s"
_ROW = "UPDATE user_preferences SET {} WHERE user_id = %s"
_NOTIFICATIONS = "UPDATE notification_preferences SET {} WHERE user_id = %s"
ALTERATIONS = {
    "no user row": "DELETE FROM user_preferences WHERE user_id = %s",
    "no notification row": "DELETE FROM notification_preferences WHERE user_id = %s",
    "another blob": _BLOB.format("'{\"x\": 1}'"),
    "a blob of SQL NULL": _BLOB.format("NULL"),
    "a blob of JSON null": _BLOB.format("'null'"),
    "an empty blob": _BLOB.format("'{}'"),
    "another column": _ROW.format("theme = 'light'"),
    "a cleared column": _ROW.format("theme = NULL"),
    "another notification": _NOTIFICATIONS.format("email_security = true"),
    "another residue": _ROW.format("residue = '{\"y\": 2}'"),
    "a number of another look": _ROW.format("residue = '{\"n\": 1}'"),
    "a leaf in the residue that belongs in its column": _ROW.format(
        'theme = NULL, residue = \'{"n": 1.0, "theme": "dark"}\''
    ),
}


def test_it_finds_nothing_where_there_is_nothing(site: str) -> None:
    add_users(*VARIED)
    copy_all()
    found: list[Any] = []
    run = verify_all(report=found.extend)
    assert (run.users, run.differing, run.repaired, found) == (len(VARIED), 0, 0, [])
    assert (run.kind, run.phase, run.status) == ("verification", "compare", "done")


@pytest.mark.parametrize("mirrored", [State.DUAL_WRITE, State.READ_CUTOVER])
def test_it_finds_and_repairs_every_kind_of_difference_from_the_primary(
    site: str, mirrored: State
) -> None:
    users = add_users(*[{"theme": "dark", "n": 1.0} for _ in range(2 * len(ALTERATIONS))])
    copy_all()
    go(mirrored)
    altered = users[::2]
    for user, statement in zip(altered, ALTERATIONS.values(), strict=True):
        tamper(statement, user)
    documents = document_texts()
    found: list[Any] = []
    run = verify_all(report=found.extend)
    assert (run.differing, run.repaired, found) == (len(altered), 0, altered)
    run = verify_all(repair=True)
    assert (run.differing, run.repaired) == (len(altered), len(altered))
    assert verify_all().differing == 0
    assert document_texts() == documents
    expected = {'{"n": 1.0, "theme": "dark"}'}
    assert set(documents[1::2]) == expected
    assert len(set(documents[::2]) - expected) >= 4


def test_in_expanded_it_tells_how_far_the_copy_is(site: str) -> None:
    users = many_users(5)
    found: list[Any] = []
    assert verify_all(report=found.extend).differing == 5
    assert found == users
    copy_all()
    assert verify_all().differing == 0


def test_it_changes_nothing_by_itself(site: str) -> None:
    [user] = add_users({"theme": "dark"})
    verify_all()
    assert rows("SELECT count(*) FROM user_preferences") == [(0,)]
    assert UserPreferences.objects.document(user) == {"theme": "dark"}


def test_a_sample_looks_at_so_many_users_and_leaves_no_record(site: str) -> None:
    users = many_users(200)
    take(State.DUAL_WRITE)
    copy_all()
    tamper("UPDATE user_preferences SET theme = 'light'")
    sample = verify_sample(ALIAS, 20)
    assert 1 <= sample.users <= 20
    assert len(sample.differing) == sample.users
    assert set(sample.differing) <= set(users)
    assert not Run.objects.filter(kind=Run.Kind.VERIFICATION).exists()


def test_a_sample_that_repairs_waits_long_for_no_lock(site: str) -> None:
    add_users({"theme": "dark"})
    take(State.DUAL_WRITE)
    with scratch.connect(site) as other, other.transaction():
        other.execute("SELECT FROM accounts_user FOR UPDATE")
        rows("SET statement_timeout = '5s'")
        with pytest.raises(OperationalError, match="lock timeout"):
            verify_sample(ALIAS, 10, repair=True)
    assert verify_sample(ALIAS, 10, repair=True).users == 1
    assert verify_sample(ALIAS, 10).differing == ()


def test_a_small_sample_reaches_the_end_of_the_table(site: str) -> None:
    users = add_users(*({"theme": "dark"} for _ in range(300)))
    take(State.DUAL_WRITE)
    last = set(users[-30:])
    assert any(last & set(verify_sample(ALIAS, 10).differing) for _ in range(40))


def test_a_sample_of_more_than_everybody_is_everybody(site: str) -> None:
    users = many_users(5)
    take(State.DUAL_WRITE)
    sample = verify_sample(ALIAS, 1_000, repair=True)
    assert (sample.users, sorted(sample.differing)) == (5, users)
    assert verify_sample(ALIAS, 1_000).differing == ()


def test_an_interrupted_verification_goes_on_where_it_was(site: str) -> None:
    many_users(10)
    first = verify(ALIAS, SOON, stops_after(2, batch_size=3))
    assert (first.status, first.users, first.differing) == ("interrupted", 6, 6)
    second = verify_all()
    assert (second.pk, second.status, second.users) == (first.pk, "done", 10)
    assert second.differing == 10
    assert second.started_at == first.started_at


def test_interrupted_and_resumed_across_a_flip_it_starts_anew(site: str) -> None:
    many_users(10)
    copy_all()
    first = verify(ALIAS, SOON, stops_after(2, batch_size=3))
    take(State.DUAL_WRITE)
    second = verify_all()
    first.refresh_from_db()
    assert (first.status, second.users) == (Run.Status.ABANDONED, 10)
    assert second.pk != first.pk


def test_without_the_column_there_is_nothing_to_compare(site: str) -> None:
    add_users({"theme": "dark"})
    go(State.DROPPED)
    for work in (verify_all, lambda: verify_sample(ALIAS, 1)):
        with pytest.raises(ColumnGone):
            work()


def test_a_column_that_is_dropped_under_it_ends_it_with_what_to_do(site: str) -> None:
    many_users(3)
    go(State.MIRROR_OFF)
    told: list[Any] = []

    def progress(progress: Any) -> None:
        if not told:
            drop_column()
        told.append(progress)

    with pytest.raises(ColumnGone, match="rollback_prefs --to mirror_off"):
        verify(ALIAS, SOON, Control(batch_size=1, progress=progress))
    assert len(told) == 1
    assert Run.objects.latest("id").status == Run.Status.FAILED

"""The column goes in short tries, and comes back as it was, filled from the tables."""

from __future__ import annotations

import pytest
from django.db import DatabaseError

from prefs.ddl import LockNotObtained
from prefs.engine import column
from prefs.engine.backfill import backfill
from prefs.engine.batches import Control
from prefs.engine.column import drop
from prefs.engine.flips import OpenTransition, flip
from prefs.engine.repair import Direction
from prefs.engine.states import State, edge
from prefs.errors import PrefsError
from prefs.models import Run, Transition, UserPreferences
from tests.support import scratch
from tests.support.columns import INDEXES, LOOK_AT_INDEXES, VARIED, definition
from tests.support.refusals import records
from tests.support.steps import (
    ALIAS,
    SOON,
    FakeClock,
    add_users,
    blob_texts,
    copy_all,
    differences,
    document_texts,
    go,
    patient,
    rows,
    state,
    stops_after,
    take,
    value,
    verify_all,
)

NEWCOMER = """INSERT INTO accounts_user (password, is_superuser, username, first_name, last_name,
  email, is_staff, is_active, date_joined)
  VALUES ('', false, %s, '', '', '', false, true, now()) RETURNING preferences ->> 'at'"""


def test_type_default_not_null_comment_and_indexes_come_back_identical(site: str) -> None:
    add_users({"theme": "dark"}, {"items_per_page": 10.5}, [])
    rows("ALTER TABLE accounts_user ALTER COLUMN preferences SET NOT NULL")
    rows('ALTER TABLE accounts_user ALTER COLUMN preferences SET DEFAULT \'{"new": "100%"}\'')
    rows("COMMENT ON COLUMN accounts_user.preferences IS $$it's 100% legacy$$")
    for statement in INDEXES:
        rows(statement)
    before, texts, indexes = definition(), blob_texts(), len(rows(LOOK_AT_INDEXES))
    go(State.DROPPED)
    assert len(rows(LOOK_AT_INDEXES)) == indexes - len(INDEXES)
    go(State.MIRROR_OFF)
    assert definition() == before
    assert blob_texts() == texts


def test_a_bare_column_comes_back_bare(site: str) -> None:
    rows("ALTER TABLE accounts_user ALTER COLUMN preferences DROP DEFAULT")
    before = definition()
    go(State.DROPPED)
    go(State.MIRROR_OFF)
    assert definition() == before


@pytest.mark.parametrize("function", ["clock_timestamp", "now"])
def test_a_default_that_is_no_constant_writes_no_user_under_the_lock(
    site: str, function: str
) -> None:
    """Case B12: added with the column, a volatile one writes the whole table anew."""
    add_users(*(document for document in VARIED if document is not None))
    rows(
        "ALTER TABLE accounts_user ALTER COLUMN preferences SET NOT NULL, ALTER COLUMN preferences"
        f" SET DEFAULT jsonb_build_object('at', {function}())"
    )
    before, texts = definition(), blob_texts()
    go(State.DROPPED)
    file = value("SELECT pg_relation_filenode('accounts_user')")
    taken = take(State.MIRROR_OFF, SOON, stops_after(3), forward=False)
    assert taken is not None
    assert taken.settled_at is None
    # Who registers before it is filled has the default of that moment, in both stores.
    newcomer = "INSERT INTO accounts_user (password, is_superuser, username, first_name, last_name,"
    newcomer += " email, is_staff, is_active, date_joined)"
    newcomer += (
        " VALUES ('', false, %s, '', '', '', false, true, now()) RETURNING preferences->>'at'"
    )
    given = {value(newcomer, name) for name in ("one", "other")}
    assert len(given) == 2
    assert value("SELECT pg_relation_filenode('accounts_user')") == file
    take(None, forward=False)
    assert blob_texts()[: len(texts)] == texts
    assert {text[8:-2] for text in document_texts()[len(texts) :] if text} == given
    assert (definition(), differences()) == (before, [])
    assert value("SELECT pg_relation_filenode('accounts_user')") == file


@pytest.mark.parametrize("default", ["'{}'::jsonb", "jsonb_build_object('at', now())", None])
def test_an_expression_of_sql_on_a_blob_that_is_not_filled_yet_is_refused(
    site: str, default: str | None
) -> None:
    """Case B12, the kind: of NULL it made NULL, which no trigger noticed, and was acknowledged."""
    users = add_users(*({"n": n} for n in range(4)))
    to = f"SET DEFAULT {default}" if default else "DROP DEFAULT"
    rows(f"ALTER TABLE accounts_user ALTER COLUMN preferences {to}")
    go(State.DROPPED)
    taken = take(State.MIRROR_OFF, SOON, stops_after(1), forward=False)
    assert taken is not None
    assert taken.settled_at is None
    append = (
        "UPDATE accounts_user SET preferences = jsonb_set(preferences, '{x}', '1') WHERE id = %s"
    )
    for user in users:
        with pytest.raises(DatabaseError, match=f"of user {user} is no longer written"):
            rows(append, user)


def test_every_blob_comes_back_exactly(site: str) -> None:
    add_users(*VARIED)
    rows("CREATE TABLE kept AS SELECT id, preferences AS doc FROM accounts_user")
    go(State.DROPPED)
    documents = document_texts()
    go(State.MIRROR_OFF)
    wrong = "SELECT id FROM accounts_user u JOIN kept k USING (id)"
    wrong += " WHERE NOT record_image_eq(ROW(u.preferences), ROW(k.doc))"
    assert rows(wrong) == []
    assert document_texts() == documents
    assert differences() == []


def test_what_was_written_while_the_column_was_gone_comes_back_too(site: str) -> None:
    changed, kept = add_users({"theme": "dark"}, {"theme": "system"})
    go(State.DROPPED)
    UserPreferences.objects.replace(changed, {"theme": "light", "x": [1, 1.0]})
    go(State.MIRROR_OFF)
    UserPreferences.objects.merge(kept, {"compact_mode": True})
    go(State.EXPANDED)
    assert blob_texts() == [
        '{"x": [1, 1.0], "theme": "light"}',
        '{"theme": "system", "compact_mode": true}',
    ]


@pytest.mark.slow
def test_a_long_reader_makes_the_drop_give_up_and_changes_nothing(site: str) -> None:
    add_users({"theme": "dark"})
    go(State.MIRROR_OFF)
    before = records()
    clock = FakeClock()
    rows("SET statement_timeout = '5s'")
    with scratch.connect(site) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM accounts_user")
        with pytest.raises(LockNotObtained, match="to drop the column within 2 s of short tries"):
            take(State.DROPPED, patient(2), Control(clock=clock))
        assert reader.execute("SELECT count(*) FROM accounts_user").fetchone() == (1,)
    assert records() == before
    assert 2 <= clock.slept < 2.5
    take(State.DROPPED)
    assert state() is State.DROPPED


def test_each_try_of_the_drop_holds_the_queue_up_no_longer_than_the_timeout(site: str) -> None:
    add_users({"theme": "dark"})
    go(State.MIRROR_OFF)
    with scratch.connect(site) as reader, scratch.connect(site) as visitor:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM accounts_user")
        visitor.execute("SET statement_timeout = '500ms'")
        rows("SET statement_timeout = '5s'")

        class Visits(FakeClock):
            """Between two tries everybody gets through."""

            def sleep(self, seconds: float) -> None:
                super().sleep(seconds)
                visitor.execute("SELECT preferences FROM accounts_user")
                visitor.execute("UPDATE accounts_user SET is_staff = true")

        with pytest.raises(LockNotObtained):
            take(State.DROPPED, patient(0.2), Control(clock=Visits()))


def test_an_interrupted_restore_is_resumed_and_ends_as_an_uninterrupted_one(site: str) -> None:
    add_users(*VARIED)
    texts = blob_texts()
    go(State.DROPPED)
    taken = take(State.MIRROR_OFF, SOON, stops_after(3), forward=False)
    assert taken is not None
    assert taken.settled_at is None
    run = Run.objects.get(kind=Run.Kind.REVERSE)
    assert (run.status, run.users) == (Run.Status.INTERRUPTED, 3)
    resumed = take(None, forward=False)
    assert resumed is not None
    assert (resumed.pk, resumed.settled_at is None) == (taken.pk, False)
    run.refresh_from_db()
    assert (run.status, run.users) == (Run.Status.DONE, len(VARIED))
    assert blob_texts() == texts


def test_while_a_restore_is_open_nothing_else_begins(site: str) -> None:
    add_users({"theme": "dark"})
    go(State.DROPPED)
    take(State.MIRROR_OFF, SOON, stops_after(0), forward=False)
    before = records()
    on = edge(State.MIRROR_OFF, State.READ_CUTOVER, forward=False)
    off = edge(State.MIRROR_OFF, State.DROPPED, forward=True)
    for work in (
        copy_all,
        verify_all,
        lambda: backfill(ALIAS, Direction.REVERSE, SOON, Control()),
        lambda: flip(on, ALIAS, SOON),
        lambda: drop(off, ALIAS, SOON, Control()),
    ):
        with pytest.raises(OpenTransition, match=r"dropped to mirror_off .* has not settled"):
            work()
    assert records() == before


def test_going_further_back_finishes_an_open_restore_first(site: str) -> None:
    add_users({"theme": "dark"})
    go(State.DROPPED)
    take(State.MIRROR_OFF, SOON, stops_after(0), forward=False)
    taken = take(State.READ_CUTOVER, forward=False)
    assert taken is not None
    assert taken.to_state == State.READ_CUTOVER
    assert not Transition.objects.filter(settled_at=None).exists()
    assert blob_texts() == ['{"theme": "dark"}']


def test_an_index_that_a_crash_left_invalid_is_built_again(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for statement in INDEXES:
        rows(statement)
    before = definition()
    go(State.DROPPED)

    def crash(*_: object) -> None:
        rows(INDEXES[0])
        rows("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'one'::regclass")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(column, "finish", crash)
        with pytest.raises(KeyboardInterrupt):
            take(State.MIRROR_OFF, forward=False)
    assert definition() != before
    take(None, forward=False)
    assert definition() == before


def test_a_definition_that_is_lost_is_asked_for(site: str) -> None:
    go(State.DROPPED)
    Transition.objects.all().delete()
    with pytest.raises(PrefsError, match="rollback_prefs --to read_cutover"):
        take(State.MIRROR_OFF, forward=False)
    assert state() is State.DROPPED


def test_dropping_twice_and_restoring_twice_changes_nothing(site: str) -> None:
    add_users({"theme": "dark"})
    before = definition(), blob_texts()
    for _ in range(2):
        go(State.DROPPED)
        assert take(State.DROPPED) is None
        go(State.MIRROR_OFF)
        assert take(State.MIRROR_OFF, forward=False) is None
    assert (definition(), blob_texts()) == before


def test_the_record_of_a_drop_says_how_the_column_was_made(site: str) -> None:
    go(State.DROPPED)
    figures = value(
        "SELECT figures -> 'column' ->> 'type' FROM prefs_transition WHERE to_state = 'dropped'"
    )
    assert figures == "jsonb"

"""The archive proves itself: what is changed, missing or added shows, and who left does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError

from prefs.engine.archive import Check, NoArchive, check, remove
from prefs.engine.audit import acting_as
from prefs.engine.batches import Control
from prefs.engine.integrity import wrong_triggers
from prefs.engine.look import look
from prefs.engine.states import State
from prefs.errors import Refused
from prefs.models import AuditEntry
from prefs.sql import archive
from tests.support import scratch
from tests.support.columns import VARIED
from tests.support.steps import ALIAS, SOON, TESTER, add_users, go, many_users, rows, value
from tests.support.tampering import behind_their_backs

LIGHT = '\'{"theme": "light"}\''
CHANGE = f"UPDATE prefs_archive SET document = {LIGHT}"
NO_LIFE = replace(SOON, archive_lifetime=timedelta(0))


def dropped(*documents: object) -> list[int]:
    """Users with these blobs, archived."""
    users = add_users(*documents)
    go(State.DROPPED)
    return users


def checked(**control: Any) -> Check:
    return check(ALIAS, Control(**control))


def tamper(statement: str, *parameters: object) -> None:
    with behind_their_backs():
        rows(statement, *parameters)


def test_an_archive_that_was_left_alone_is_right_in_batches_of_any_size(site: str) -> None:
    users = dropped(*VARIED)
    for size in (1, 3, 1_000):
        found = checked(batch_size=size)
        assert (found.right, found.complete, found.compared) == (True, True, len(users))
        assert (found.archived, found.departed, found.wrong) == (len(users), 0, 0)


def test_a_document_that_was_changed_is_found_and_its_user_named(site: str) -> None:
    _, user, _ = dropped({"theme": "dark"}, {"theme": "dark"}, {"theme": "dark"})
    tamper(f"{CHANGE} WHERE user_id = %s", user)
    found = checked(batch_size=2)
    assert (found.right, found.wrong, found.listed) == (False, 1, (user,))
    assert found.checksum == found.made.checksum


def test_a_number_written_another_way_is_another_document(site: str) -> None:
    [user] = dropped('{"n": 1.0}')
    tamper("UPDATE prefs_archive SET document = '{\"n\": 1}'")
    assert checked().listed == (user,)


TAMPERINGS = {
    "a document and its digest": f"{CHANGE}, digest = {archive.digest(f'{LIGHT}::jsonb')}",
    "a row taken away": "DELETE FROM prefs_archive WHERE user_id = (SELECT min(user_id)"
    " FROM prefs_archive)",
    "all rows taken away": "TRUNCATE prefs_archive",
    "a row added": "INSERT INTO prefs_archive VALUES (99, '{}', 0)",
    "a departure taken away": "DELETE FROM prefs_archive_departure",
    "a departure added": "INSERT INTO prefs_archive_departure (digest) VALUES (0)",
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_what_was_done_behind_the_triggers_shows_in_the_sums(site: str, what: str) -> None:
    *_, gone = dropped({"theme": "dark"}, {"theme": "system"}, {"n": 1})
    rows("DELETE FROM accounts_user WHERE id = %s", gone)
    assert checked().right
    tamper(TAMPERINGS[what])
    assert not checked().right


def test_at_most_twenty_users_are_named(site: str) -> None:
    many_users(25)
    go(State.DROPPED)
    tamper(CHANGE)
    found = checked(batch_size=7)
    assert (found.wrong, len(found.listed)) == (25, 20)


def test_a_stopped_check_says_how_far_it_came(site: str) -> None:
    dropped({"theme": "dark"}, {"theme": "system"}, {"n": 1})
    looks = count()
    found = checked(batch_size=1, stopped=lambda: next(looks) >= 2)
    assert (found.complete, found.compared, found.right) == (False, 2, True)


def test_a_user_who_is_deleted_takes_the_row_along_and_leaves_only_its_digest(site: str) -> None:
    first, second = dropped({"theme": "dark"}, {"secret": "x"})
    digest = value("SELECT digest FROM prefs_archive WHERE user_id = %s", second)
    rows("DELETE FROM accounts_user WHERE id = %s", second)
    assert rows("SELECT user_id FROM prefs_archive") == [(first,)]
    columns = "SELECT attname FROM pg_attribute WHERE attnum > 0 AND attrelid ="
    columns += " 'prefs_archive_departure'::regclass ORDER BY attnum"
    assert rows(columns) == [("id",), ("digest",)]
    assert rows("SELECT digest FROM prefs_archive_departure") == [(digest,)]
    found = checked()
    assert (found.right, found.archived, found.departed, found.made.users) == (True, 1, 1, 2)


def test_a_deletion_that_is_rolled_back_leaves_no_departure(site: str) -> None:
    [user] = dropped({"theme": "dark"})
    with scratch.connect(site) as session:
        session.execute("BEGIN")
        session.execute("DELETE FROM accounts_user WHERE id = %s", [user])
        session.execute("ROLLBACK")
    assert (checked().right, checked().departed) == (True, 0)


def test_a_user_whose_key_changes_keeps_the_row(site: str) -> None:
    [user] = dropped({"theme": "dark"})
    rows("UPDATE accounts_user SET id = %s WHERE id = %s", user + 500, user)
    assert rows("SELECT user_id FROM prefs_archive") == [(user + 500,)]
    assert checked().right


BY_HAND = {
    "a document": CHANGE,
    "a document of the same value": "UPDATE prefs_archive SET document = '{\"n\": 1}'",
    "a digest": "UPDATE prefs_archive SET digest = digest + 1",
    "a row": "DELETE FROM prefs_archive",
}


@pytest.mark.parametrize("what", BY_HAND)
def test_nothing_of_it_can_be_changed_or_deleted_by_hand(site: str, what: str) -> None:
    dropped('{"n": 1.0}')
    with pytest.raises(DatabaseError, match="of prefs_archive is refused: the archive is evidence"):
        rows(BY_HAND[what])
    assert (checked().right, checked().departed) == (True, 0)


@pytest.mark.parametrize("trigger", ["prefs_guard_archive", "prefs_departure"])
def test_a_trigger_of_it_that_is_disabled_is_a_problem(site: str, trigger: str) -> None:
    assert wrong_triggers(look(ALIAS)) == []
    rows(f"ALTER TABLE prefs_archive DISABLE TRIGGER {trigger}")
    [wrong] = wrong_triggers(look(ALIAS))
    assert f"prefs_archive: trigger {trigger}" in str(wrong)


def test_a_restore_neither_reads_nor_changes_it(site: str) -> None:
    [user] = dropped({"theme": "dark"})
    tamper(CHANGE)
    go(State.MIRROR_OFF)
    assert value("SELECT preferences FROM accounts_user") == '{"theme": "dark"}'
    assert checked().listed == (user,)


def test_it_is_kept_for_its_lifetime(site: str) -> None:
    dropped({"theme": "dark"})
    made = checked().made
    with pytest.raises(Refused) as refused:
        remove(ALIAS, SOON, Control())
    assert f"from {made.made_at + timedelta(days=90):%Y-%m-%d %H:%M} UTC on" in str(refused.value)
    assert "(PREFS_ARCHIVE_LIFETIME, 90 days)" in str(refused.value)
    assert checked().right


def test_it_is_removed_whole_after_that_and_the_removal_is_on_record(site: str) -> None:
    gone, _ = dropped({"theme": "dark"}, {"theme": "light"})
    rows("DELETE FROM accounts_user WHERE id = %s", gone)
    with acting_as(TESTER):
        made = remove(ALIAS, NO_LIFE, Control())
    assert rows("SELECT FROM prefs_archive UNION ALL SELECT FROM prefs_archive_departure") == []
    entry = AuditEntry.objects.filter(event="archive").order_by("-id")[0]
    assert (entry.subject, entry.actor) == ("archive removed", "tester")
    assert entry.figures == made.figures()
    for again in (checked, lambda: remove(ALIAS, NO_LIFE, Control())):
        with pytest.raises(NoArchive, match=f"that of run {made.run} was removed at 20"):
            again()
    rows("DELETE FROM accounts_user")


def test_the_site_can_drop_its_column_again_after_a_removal(site: str) -> None:
    dropped({"theme": "dark"})
    remove(ALIAS, NO_LIFE, Control())
    go(State.MIRROR_OFF)
    go(State.DROPPED)
    assert checked().right


def test_whoever_deletes_a_user_needs_no_right_on_the_archive(site: str) -> None:
    [user] = dropped({"theme": "dark"})
    role = f"deleter_{site}"
    with scratch.connect(site) as session:
        session.execute(f"CREATE ROLE {role}".encode())
        try:
            session.execute(f"GRANT SELECT, DELETE ON accounts_user TO {role}".encode())
            session.execute(f"SET ROLE {role}".encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute("SELECT FROM prefs_archive")
            session.execute("DELETE FROM accounts_user WHERE id = %s", [user])
        finally:
            session.execute("RESET ROLE")
            session.execute(f"DROP OWNED BY {role}".encode())
            session.execute(f"DROP ROLE {role}".encode())
    assert (checked().right, checked().departed) == (True, 1)

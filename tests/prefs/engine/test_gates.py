"""The gates to dual-write: every one asks the database, as it is at that moment."""

from __future__ import annotations

import pytest
from django.db import connection
from psycopg import IsolationLevel

from prefs.engine.states import SOUND, Gate, State
from prefs.models import Transition
from tests.support.refusals import assert_refused, finding, records, undone
from tests.support.steps import ORDER, add_users, copy_all, go, rows, state, take

TO = State.DUAL_WRITE
ALTERED = {
    "a dropped check": (
        "ALTER TABLE user_preferences DROP CONSTRAINT user_preferences_theme_domain",
        "no constraint user_preferences_theme_domain",
    ),
    "a changed check": (
        "ALTER TABLE user_preferences DROP CONSTRAINT user_preferences_items_per_page_domain,"
        " ADD CONSTRAINT user_preferences_items_per_page_domain"
        " CHECK (items_per_page >= 1 AND items_per_page <= 1000)",
        "constraint user_preferences_items_per_page_domain is",
    ),
    "a check that was not validated": (
        "ALTER TABLE user_preferences DROP CONSTRAINT user_preferences_date_format_domain,"
        " ADD CONSTRAINT user_preferences_date_format_domain"
        " CHECK (date_format = ANY (ARRAY['iso'::text, 'us'::text, 'eu'::text])) NOT VALID",
        "NOT VALID",
    ),
    "a check of somebody else": (
        "ALTER TABLE notification_preferences ADD CONSTRAINT no_spam CHECK (email_marketing)",
        "constraint no_spam is",
    ),
    "a dropped foreign key": (
        "ALTER TABLE notification_preferences"
        " DROP CONSTRAINT notification_preferences_user_id_fkey",
        "no constraint notification_preferences_user_id_fkey",
    ),
    "a foreign key that does not cascade": (
        "ALTER TABLE user_preferences DROP CONSTRAINT user_preferences_user_id_fkey,"
        " ADD CONSTRAINT user_preferences_user_id_fkey"
        " FOREIGN KEY (user_id) REFERENCES accounts_user (id)",
        "constraint user_preferences_user_id_fkey is",
    ),
    "an added column": (
        "ALTER TABLE user_preferences ADD COLUMN font text",
        "column font is 'text'",
    ),
    "a dropped column": (
        "ALTER TABLE notification_preferences DROP COLUMN push_messages",
        "no column push_messages",
    ),
    "a column of another type": (
        "ALTER TABLE user_preferences ALTER COLUMN language TYPE varchar(35)",
        "column language is 'character varying(35)'",
    ),
    "a column that takes no null": (
        "ALTER TABLE user_preferences ALTER COLUMN compact_mode SET NOT NULL",
        "column compact_mode is 'boolean not null'",
    ),
    "a dropped index": ("DROP INDEX prefs_email_digest", "no index prefs_email_digest"),
    "an index of another column": (
        "DROP INDEX prefs_email_digest;"
        " CREATE INDEX prefs_email_digest ON notification_preferences (user_id)",
        "index prefs_email_digest is 'valid USING btree (user_id)'",
    ),
    "an invalid index": (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'prefs_sms_security'::regclass",
        "index prefs_sms_security is 'invalid USING btree (user_id) WHERE sms_security'",
    ),
    "a replaced function": (
        "CREATE OR REPLACE FUNCTION prefs_merge_patch(target jsonb, patch jsonb) RETURNS jsonb"
        " LANGUAGE sql IMMUTABLE AS 'SELECT target || patch'",
        "function prefs_merge_patch is not ours",
    ),
    "a dropped function": (
        "DROP FUNCTION prefs_document_text(jsonb)",
        "function prefs_document_text is not ours",
    ),
    "foreign keys switched off": (
        "ALTER TABLE user_preferences DISABLE TRIGGER ALL",
        "is 'not enabled'",
    ),
    "a cascade switched off": (
        "ALTER TABLE accounts_user DISABLE TRIGGER ALL",
        "is 'not enabled'",
    ),
    "a trigger of somebody else": (
        "CREATE TRIGGER stray BEFORE UPDATE ON user_preferences"
        " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "trigger stray",
    ),
}


def test_a_site_as_migrate_made_it_meets_every_gate_and_their_figures_are_kept(site: str) -> None:
    for gate in SOUND:
        assert finding(gate, TO).met
    take(TO)
    taken = Transition.objects.get()
    assert [gate["gate"] for gate in taken.gates] == list(SOUND)
    assert all(gate["met"] for gate in taken.gates)
    assert (taken.actor, taken.reason) == ("tester", "a test")
    assert taken.settled_at is not None
    assert taken.settled_at > taken.taken_at


@pytest.mark.parametrize("name", ALTERED)
def test_altered_tables_are_not_ours(site: str, name: str) -> None:
    statement, said = ALTERED[name]
    with undone():
        rows(statement)
        found = finding(Gate.TABLES_INTACT, TO)
    assert not found.met
    assert said in found.found
    assert finding(Gate.TABLES_INTACT, TO).met


def test_altered_tables_are_refused(site: str) -> None:
    for statement, said in list(ALTERED.values())[:2]:
        rows(statement)
        assert_refused(Gate.TABLES_INTACT, TO, said)


def test_an_index_that_a_crash_left_invalid_is_refused(site: str) -> None:
    rows("DROP INDEX prefs_email_mentions")
    add_users({})
    copy_all()
    with pytest.raises(Exception, match="division by zero"):
        rows(
            "CREATE INDEX CONCURRENTLY prefs_email_mentions ON notification_preferences"
            " ((1 / (user_id - user_id)))"
        )
    assert_refused(Gate.TABLES_INTACT, TO, "index prefs_email_mentions is 'invalid USING btree")


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_another_isolation_level_of_a_role_is_refused(site: str, level: str) -> None:
    with undone():
        rows("CREATE ROLE prefs_test_role")
        rows(f"ALTER ROLE prefs_test_role SET default_transaction_isolation = '{level}'")
        found = finding(Gate.READ_COMMITTED, TO)
        assert not found.met
        assert f"is {level} (role prefs_test_role in database any)" in found.found
    assert finding(Gate.READ_COMMITTED, TO).met


def test_another_isolation_level_of_the_database_is_refused(site: str) -> None:
    rows(f"ALTER DATABASE \"{site}\" SET default_transaction_isolation = 'repeatable read'")
    assert_refused(Gate.READ_COMMITTED, TO, f"repeatable read (role any in database {site})")
    rows(f"ALTER DATABASE \"{site}\" SET default_transaction_isolation = 'READ COMMITTED'")
    assert finding(Gate.READ_COMMITTED, TO).met


def test_another_isolation_level_of_this_session_is_refused(site: str) -> None:
    rows("SET default_transaction_isolation = 'serializable'")
    assert_refused(Gate.READ_COMMITTED, TO, "serializable (session)")


@pytest.mark.parametrize(
    ("level", "met"),
    [(IsolationLevel.READ_COMMITTED, True), (IsolationLevel.SERIALIZABLE, False)],
)
def test_the_isolation_level_of_django_is_looked_at(
    site: str, monkeypatch: pytest.MonkeyPatch, level: IsolationLevel, met: bool
) -> None:
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "isolation_level", level)
    assert finding(Gate.READ_COMMITTED, TO).met is met
    if not met:
        assert_refused(Gate.READ_COMMITTED, TO, "Django's OPTIONS of 'default'")


@pytest.mark.parametrize("off", ["off", "false", "0", "no"])
def test_commits_that_do_not_wait_for_the_disk_are_refused(site: str, off: str) -> None:
    rows(f"ALTER DATABASE \"{site}\" SET synchronous_commit = '{off}'")
    assert_refused(Gate.DURABLE_COMMITS, TO, "synchronous_commit is off (role any")
    rows(f'ALTER DATABASE "{site}" SET synchronous_commit = local')
    assert finding(Gate.DURABLE_COMMITS, TO).met


def test_a_role_whose_commits_do_not_wait_is_refused(site: str) -> None:
    with undone():
        rows("CREATE ROLE prefs_test_role")
        rows("ALTER ROLE prefs_test_role SET synchronous_commit = off")
        assert "role prefs_test_role" in finding(Gate.DURABLE_COMMITS, TO).found
        assert not finding(Gate.DURABLE_COMMITS, TO).met


@pytest.mark.parametrize("table", ["accounts_user", "user_preferences"])
def test_a_subscription_that_applies_changes_into_our_tables_is_refused(
    site: str, table: str
) -> None:
    with undone():
        rows(
            "CREATE SUBSCRIPTION prefs_test CONNECTION 'dbname=nowhere' PUBLICATION p"
            " WITH (connect = false)"
        )
        assert finding(Gate.NO_LOGICAL_APPLY, TO).met
        rows(
            "INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate)"
            " SELECT oid, %s::regclass, 'r' FROM pg_subscription WHERE subname = 'prefs_test'",
            table,
        )
        found = finding(Gate.NO_LOGICAL_APPLY, TO)
        assert not found.met
        assert table in found.found


@pytest.mark.parametrize("reached", [State.DUAL_WRITE, State.READ_CUTOVER, State.MIRROR_OFF])
def test_one_that_was_begun_after_the_first_step_is_refused_at_the_next(
    site: str, reached: State
) -> None:
    """Case B10."""
    go(reached)
    with undone():
        rows(
            "CREATE SUBSCRIPTION prefs_test CONNECTION 'dbname=nowhere' PUBLICATION p"
            " WITH (connect = false)"
        )
        rows(
            "INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate)"
            " SELECT oid, 'accounts_user'::regclass, 'r' FROM pg_subscription"
            " WHERE subname = 'prefs_test'"
        )
        further = ORDER[ORDER.index(reached) + 1]
        found = finding(Gate.NO_LOGICAL_APPLY, further)
    assert (found.met, found.found.endswith("into accounts_user")) == (False, True)


@pytest.mark.parametrize("reached", [State.DUAL_WRITE, State.READ_CUTOVER, State.MIRROR_OFF])
def test_whatever_of_the_first_step_no_longer_holds_is_refused_at_the_next(
    site: str, reached: State
) -> None:
    """Case B10."""
    go(reached)
    further = ORDER[ORDER.index(reached) + 1]
    rows("DROP INDEX prefs_email_digest")
    rows("SET synchronous_commit = off")
    rows("SET default_transaction_isolation = 'serializable'")
    for gate in (Gate.TABLES_INTACT, Gate.DURABLE_COMMITS, Gate.READ_COMMITTED):
        assert_refused(gate, further)


def test_every_unmet_gate_is_named_at_once(site: str) -> None:
    rows("DROP INDEX prefs_email_digest")
    rows("SET synchronous_commit = off")
    before = records()
    with pytest.raises(Exception, match=r"(?s)tables_intact: .*durable_commits: "):
        take(TO)
    assert (records(), state()) == (before, State.EXPANDED)

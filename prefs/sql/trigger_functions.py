"""What the triggers run: capture, the guards, the departure from the archive.

A statement of ours that writes both stores marks itself: a transaction-local setting holds
the time of the statement, and how deep in triggers it was sent, which no other statement has. A
mark that is left behind says nothing about the next statement, so there is none to forget to clear.
"""

from __future__ import annotations

from functools import cache

from prefs.mapping import BLOB_COLUMN
from prefs.routing import DUAL_WRITE, READ_TABLES, SWITCHES
from prefs.sql import canary, shadow
from prefs.sql.copying import upserts
from prefs.sql.documents import switch, tables_document
from prefs.sql.expressions import same
from prefs.sql.names import (
    ARCHIVE_TABLE,
    AUDIT_TABLE,
    DEPARTURE_TABLE,
    MISMATCH_TABLE,
    TRANSITION_TABLE,
    literal,
    names,
    oids,
    qualified,
)
from prefs.sql.stored import StoredFunction
from prefs.sql.writes import is_marked, is_within_marked

CAPTURE = "prefs_capture"
GUARD_ROWS = "prefs_guard_rows"
GUARD_SWITCH = "prefs_guard_switch"
GUARD_SAMPLE = "prefs_guard_sample"
APPEND_ONLY = "prefs_append_only"
GUARD_ARCHIVE = "prefs_guard_archive"
DEPARTURE = "prefs_departure"

# Everything is named with its schema, so that these need no path; temporary schemas come last,
# where they would otherwise come first.
SAFE_PATH = "pg_catalog, pg_temp"
# A table of this name, beside a guarded one and of the same owner, says that tests may empty it.
# Whoever could make it could disable the guard.
TEST_DATABASE = "prefs_test_database"

# A transaction that holds its own number in this setting turns switches by the protocol.
TURNING = "prefs.turning"


@cache
def functions() -> dict[str, StoredFunction]:
    """Every trigger function, by name.

    They run with their owner's rights, so that a role with rights on the users table alone
    is captured too. So nobody else may call them, and nothing that the caller made is found by
    name; on another table than their own, and where row security would hide a row from their
    owner, they fail.
    """
    n, archive = names(), qualified(ARCHIVE_TABLE)
    made = (
        _function(CAPTURE, _capture(), n.users),
        _function(GUARD_ROWS, _guard_rows(), n.user_table, n.notification_table),
        _function(GUARD_SWITCH, _guard_switch(), n.switches),
        _function(GUARD_SAMPLE, canary.guard(TURNING, _EMPTIED_BY_TESTS), n.samples),
        _function(shadow.FOUND, shadow.found(), qualified(MISMATCH_TABLE)),
        _function(APPEND_ONLY, _append_only(), qualified(AUDIT_TABLE)),
        _function(GUARD_ARCHIVE, _guard_archive(), archive),
        _function(DEPARTURE, _departure(), archive),
    )
    return {function.name: function for function in made}


def _function(name: str, body: str, *tables: str) -> StoredFunction:
    """A function that stands on these tables."""
    refusal = f"""BEGIN
  IF tg_relid NOT IN ({oids(*tables)}) THEN
    RAISE EXCEPTION 'the table % is not one that this trigger function is for',
      tg_relid::regclass USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
"""
    return StoredFunction(
        name=name,
        returns="trigger",
        traits=f"VOLATILE SECURITY DEFINER SET search_path = {SAFE_PATH} SET row_security = off",
        body=body.replace("BEGIN\n", refusal, 1),
        kept=True,
    )


def _capture() -> str:
    """Mirror one row's blob, or refuse it where the tables alone are written.

    The switches are read by VOLATILE code, so under locks and a snapshot that the drain of a
    flip knows of. A marked statement that writes the blob writes both stores, and does so by
    the route that it read: the switch may have been turned since.

    What is mirrored is what is stored now, not what this row was when the trigger was fired: a
    trigger of the site's may have changed it since, and has then been captured itself. Where
    there is no row of that key, it is gone, or has another key, which was captured as well.
    """
    n = names()
    key, table_key = f"new.{n.key}", f"u.{n.key}"
    source = (
        f"(SELECT {table_key} AS user_id, u.{n.blob} AS doc"
        f" FROM {n.users} u WHERE {table_key} = {key})"
    )
    return f"""DECLARE
  dual_write boolean;
  read_tables boolean;
  behind boolean;
  moved boolean := tg_op = 'UPDATE' AND {same(f"old.{n.blob}", f"new.{n.blob}")};
  mark text := current_setting('prefs.writing', true);
  written bigint[];
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    IF moved THEN
      RETURN NULL;
    END IF;
    RAISE EXCEPTION 'preferences are written at READ COMMITTED only; this transaction is at %',
      upper(current_setting('transaction_isolation')) USING ERRCODE = 'feature_not_supported',
      HINT = 'Write users and their preferences in a transaction at READ COMMITTED.';
  END IF;
  SELECT {switch(DUAL_WRITE)}, {switch(READ_TABLES)} INTO dual_write, read_tables;
  IF dual_write IS NULL OR read_tables IS NULL THEN
    RAISE EXCEPTION 'a waffle switch of the preferences migration is missing (% or %)',
      {literal(DUAL_WRITE)}, {literal(READ_TABLES)}
      USING ERRCODE = 'object_not_in_prerequisite_state',
      HINT = 'Run manage.py status_prefs: it prints the command that puts the row back.';
  END IF;
  IF NOT dual_write AND NOT read_tables THEN
    RETURN NULL;
  END IF;
  IF tg_op = 'UPDATE' AND {is_marked()} THEN
    RETURN NULL;
  END IF;
  IF tg_op = 'UPDATE' AND read_tables AND moved THEN
    IF pg_trigger_depth() > 1 AND (NOT EXISTS (SELECT FROM {n.user_table} p WHERE p.user_id = {key})
        OR dual_write AND NOT {same(tables_document(key), f"new.{n.blob}")}) THEN
      RAISE EXCEPTION 'a trigger gave user % the key % before the preferences that are being'
        ' written were in the tables', old.{n.key}, {key}
        USING ERRCODE = 'triggered_data_change_violation',
        HINT = 'While the tables are read, change the key in a statement of its own.';
    END IF;
    RETURN NULL;
  ELSIF tg_op = 'UPDATE' AND read_tables THEN
    IF NOT dual_write THEN
      RAISE EXCEPTION 'the column % of user % is no longer written: preferences are in the tables',
        {literal(BLOB_COLUMN)}, {key} USING ERRCODE = 'object_not_in_prerequisite_state',
        HINT = 'Write them by UserPreferences.objects; or let the operator run'
          ' manage.py rollback_prefs, which has the column written again.';
    END IF;
    behind := NOT {same(tables_document(key), f"old.{n.blob}")};
    IF pg_trigger_depth() > 1 AND behind OR {is_within_marked()} THEN
      RAISE EXCEPTION 'a trigger changed the column % of user %, which a statement is writing'
        ' that is not finished; or the column was older than the tables', {literal(BLOB_COLUMN)},
        {key} USING ERRCODE = 'triggered_data_change_violation',
        HINT = 'While the tables are read, no trigger may change what is written to this column:'
          ' disable it, or run manage.py rollback_prefs until the blob is read again.';
    END IF;
    IF behind THEN
      RAISE EXCEPTION 'the column % of user % was older than the tables, and so may be what is'
        ' written to it', {literal(BLOB_COLUMN)}, {key}
        USING ERRCODE = 'object_not_in_prerequisite_state',
        HINT = 'Run manage.py backfill_prefs --reverse and verify_prefs before anything that'
          ' knows the column alone is started again.';
    END IF;
  END IF;
  WITH {upserts(source, columns="ARRAY[{user_rows}, {notification_rows}]")} INTO written;
  PERFORM set_config('prefs.writing', coalesce(mark, ''), true);
  RETURN NULL;
END"""


def _guard_rows() -> str:
    """Refuse a statement on a typed table, while the blob mirrors it.

    Its trigger's condition lets ours through. So is let through what the foreign key cascades: it
    is known by the user it was the row of, who is gone by then or has another key.
    """
    n = names()
    return f"""DECLARE
  dual_write boolean;
  read_tables boolean;
BEGIN
  SELECT {switch(DUAL_WRITE)}, {switch(READ_TABLES)} INTO dual_write, read_tables;
  IF tg_op = 'TRUNCATE' THEN
    IF NOT EXISTS (SELECT FROM {n.users}) OR NOT (dual_write OR read_tables) THEN
      RETURN NULL;
    END IF;
  ELSIF dual_write IS FALSE THEN
    RETURN NULL;
  ELSIF tg_op <> 'INSERT' THEN
    IF NOT EXISTS (SELECT FROM {n.users} u WHERE u.{n.key} = old.user_id) THEN
      RETURN NULL;
    END IF;
  END IF;
  RAISE EXCEPTION '% of % is refused: it would part the two stores of preferences',
    tg_op, tg_table_name USING ERRCODE = 'object_not_in_prerequisite_state',
    HINT = 'Write by UserPreferences.objects, or save the rows by their Django models.';
END"""


_EMPTIED_BY_TESTS = f"""tg_op = 'TRUNCATE' AND EXISTS (SELECT FROM pg_catalog.pg_class t
    JOIN pg_catalog.pg_class g ON g.relnamespace = t.relnamespace AND g.relowner = t.relowner
    WHERE t.relname = {literal(TEST_DATABASE)} AND t.relpersistence = 'p' AND g.oid = tg_relid)"""


def _guard_switch() -> str:
    """Refuse to turn, delete or truncate the switches but in a flip's own transaction.

    A row that is gone can be put back with the value that the last transition gave it. With the
    route the canary ends, in the same transaction.
    """
    ours = ", ".join(map(literal, SWITCHES))
    return f"""DECLARE
  recorded text;
  expected boolean;
BEGIN
  IF current_setting('{TURNING}', true) = pg_current_xact_id()::text THEN
    IF tg_op <> 'UPDATE' OR old.active <> new.active THEN
{canary.lower_to_zero()}
    END IF;
    RETURN CASE WHEN tg_op = 'DELETE' THEN old ELSE new END;
  END IF;
  IF {_EMPTIED_BY_TESTS} THEN
    RETURN NULL;
  END IF;
  IF tg_op = 'INSERT' THEN
    IF new.name NOT IN ({ours}) THEN
      RETURN new;
    END IF;
    SELECT t.to_state INTO recorded FROM {qualified(TRANSITION_TABLE)} t ORDER BY t.id DESC LIMIT 1;
    expected := CASE new.name
      WHEN {literal(DUAL_WRITE)} THEN coalesce(recorded IN ('dual_write', 'read_cutover'), false)
      ELSE coalesce(recorded IN ('read_cutover', 'mirror_off', 'dropped'), false) END;
    IF new.active = expected THEN
      RETURN new;
    END IF;
  ELSIF tg_op = 'UPDATE' THEN
    IF old.name NOT IN ({ours}) AND new.name NOT IN ({ours})
        OR old.name = new.name AND old.active = new.active THEN
      RETURN new;
    END IF;
  ELSIF tg_op = 'DELETE' THEN
    IF old.name NOT IN ({ours}) THEN
      RETURN old;
    END IF;
  END IF;
  RAISE EXCEPTION '% of the switches of the preferences migration is refused: a switch is turned'
    ' under gates, and drained', tg_op USING ERRCODE = 'object_not_in_prerequisite_state',
    HINT = 'Run manage.py advance_prefs or rollback_prefs, or turn the switch in the admin.';
END"""


def _append_only() -> str:
    """Refuse to change what was recorded."""
    return f"""BEGIN
  IF {_EMPTIED_BY_TESTS} THEN
    RETURN NULL;
  END IF;
  RAISE EXCEPTION '% of % is refused: the audit is only ever added to', tg_op, tg_table_name
    USING ERRCODE = 'object_not_in_prerequisite_state';
END"""


def _guard_archive() -> str:
    """Refuse to change an archived blob, or to delete one whose user stays.

    What the foreign key cascades comes from inside another trigger: a row that goes with its
    user, a user's key that changed. Where the key was away the user may be gone already.
    """
    n = names()
    return f"""BEGIN
  IF tg_op = 'DELETE' AND (pg_trigger_depth() > 1
      OR NOT EXISTS (SELECT FROM {n.users} u WHERE u.{n.key} = old.user_id)) THEN
    RETURN old;
  ELSIF tg_op = 'UPDATE' AND {same("old.document", "new.document")}
      AND old.digest = new.digest THEN
    RETURN new;
  END IF;
  RAISE EXCEPTION '% of % is refused: the archive is evidence', tg_op, tg_table_name
    USING ERRCODE = 'object_not_in_prerequisite_state',
    HINT = 'Its rows go with their users; manage.py archive_prefs --remove removes it whole.';
END"""


def _departure() -> str:
    """Keep the digest of a row that goes with its user, and nothing that tells whose it was."""
    return f"""BEGIN
  INSERT INTO {qualified(DEPARTURE_TABLE)} (digest) VALUES (old.digest);
  RETURN NULL;
END"""

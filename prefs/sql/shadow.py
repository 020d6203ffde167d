"""Shadow reads: both stores of a user compared in one snapshot, and what is kept of a mismatch."""

from __future__ import annotations

from functools import cache

from prefs.mapping import LEAVES, RESIDUE_COLUMN
from prefs.routing import CANARY, DUAL_WRITE
from prefs.sql.canary import end_canary
from prefs.sql.copying import differs, joined
from prefs.sql.expressions import at, document, same
from prefs.sql.functions import DOCUMENT_TEXT
from prefs.sql.names import (
    AUDIT_TABLE,
    MISMATCH_TABLE,
    RUN_TABLE,
    SHADOW_TABLE,
    TRANSITION_TABLE,
    literal,
    names,
    qualified,
)
from prefs.sql.stored import StoredFunction

COMPARE = "prefs_compare"
STANDS = "prefs_verification_stands"
NOTE = "prefs_note_mismatch"
FOUND = "prefs_mismatch_found"
# The rows of so many users are kept.
MOST_MISMATCHES = 1_000
# A comparison waits for a lock on each of so many tables at most.
_LOCKED = 8


def stands(path: str) -> StoredFunction:
    """Whether the stores of everybody must be equal now.

    They are where both are written, and the last verification found no difference and began
    after the last transition had settled. It runs with its owner's rights, so that who may read
    preferences need not read our records, and tells nothing but that.
    """
    n = names()
    body = f"""BEGIN
  RETURN EXISTS (SELECT FROM {n.switches} w WHERE w.name = {literal(DUAL_WRITE)} AND w.active)
    AND coalesce((SELECT v.differing = 0 AND v.started_at > (SELECT t.settled_at
        FROM {qualified(TRANSITION_TABLE)} t ORDER BY t.id DESC LIMIT 1)
      FROM {qualified(RUN_TABLE)} v WHERE v.kind = 'verification' AND v.status = 'done'
      ORDER BY v.id DESC LIMIT 1), false);
END"""
    traits = f"STABLE SECURITY DEFINER SET search_path = {path}"
    return StoredFunction(name=STANDS, returns="boolean", traits=traits, body=body, kept=True)


@cache
def compare() -> str:
    """Compare both stores of the users `ids`, and wait at most `budget` ms for locks.

    A row for each who differs: (user id, leaves, digest of the blob, digest of what the tables
    make, NULL). Of a comparison that failed: (NULL, NULL, NULL, NULL, SQLSTATE).
    """
    given = f"%(ids)s::{names().key_type}[], %(budget)s::integer"
    return f"SELECT * FROM {qualified(COMPARE)}({given})"


def comparing() -> str:
    """What `compare` calls does: STABLE, so all in the one snapshot of the statement that calls it.

    Whatever happens is caught in it: a read never fails by it, nor the reader's transaction.
    """
    n = names()
    leaves = ", ".join(
        f"({literal(leaf.dotted)}, {at('d.blob', leaf.path)}, {at('d.tables', leaf.path)})"
        for leaf in LEAVES
    )
    return f"""  PERFORM set_config('lock_timeout', greatest(1, $2 / {_LOCKED})::text, true);
  BEGIN
    IF NOT {qualified(STANDS)}() THEN
      RETURN;
    END IF;
    RETURN QUERY SELECT d.user_id, coalesce(nullif(ARRAY(
        SELECT e.leaf FROM (VALUES {leaves}) e(leaf, blob, tables)
        WHERE NOT {same("e.blob", "e.tables")}), '{{}}'), '{{{RESIDUE_COLUMN}}}'),
      {_digest("d.blob")}, {_digest("d.tables")}, NULL::text
      FROM (SELECT u.{n.key} AS user_id, u.{n.blob} AS blob, {document("p", "n")} AS tables
        {joined()} WHERE u.{n.key} = ANY($1) AND ({differs()}) OFFSET 0) d;
  EXCEPTION WHEN OTHERS OR query_canceled THEN
    RETURN QUERY SELECT NULL::{n.key_type}, NULL::text[], NULL::text, NULL::text, SQLSTATE;
  END;"""


def _digest(doc: str) -> str:
    """SHA-256 of the text of a document, as an ETag has it; NULL where there is no text."""
    text = f"{qualified(DOCUMENT_TEXT)}({doc})"
    return f"encode(sha256(convert_to({text}, 'UTF8')), 'hex')"


def noting(path: str) -> StoredFunction:
    """Keeps the mismatch of a user, if there is such a user. One row a user.

    It runs with its owner's rights: it is called in a session of its own, in which nobody has said
    whose rows a policy shows.
    """
    n = names()
    body = f"""BEGIN
  INSERT INTO {qualified(MISMATCH_TABLE)} AS m
    (user_id, leaves, blob_digest, tables_digest, times, first_found_at, found_at)
  SELECT u.{n.key}, $2, $3, $4, 1, clock_timestamp(), clock_timestamp()
  FROM {n.users} u WHERE u.{n.key} = $1
  ON CONFLICT (user_id) DO UPDATE SET leaves = excluded.leaves,
    blob_digest = excluded.blob_digest, tables_digest = excluded.tables_digest,
    times = m.times + 1, found_at = excluded.found_at;
END"""
    return StoredFunction(
        name=NOTE,
        takes=f"{n.key_type}, jsonb, text, text",
        returns="void",
        traits=f"VOLATILE SECURITY DEFINER SET search_path = {path} SET row_security = off",
        body=body,
        kept=True,
    )


@cache
def note() -> str:
    """Keep the mismatch of `user`: `leaves`, and the digests of `blob` and `tables`."""
    given = f"%(user)s::{names().key_type}, %(leaves)s::jsonb, %(blob)s::text, %(tables)s::text"
    return f"SELECT {qualified(NOTE)}({given})"


@cache
def add_counts() -> str:
    """Add `compared`, `differing` and `failed` to what all processes have counted."""
    return f"""INSERT INTO {qualified(SHADOW_TABLE)} AS c
      (id, compared, differing, failed, counted_at)
    VALUES (1, %(compared)s, %(differing)s, %(failed)s, clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET compared = c.compared + excluded.compared,
      differing = c.differing + excluded.differing, failed = c.failed + excluded.failed,
      counted_at = excluded.counted_at"""


def found() -> str:
    """End the canary as soon as a mismatch is kept, in its transaction; drop the oldest beyond.

    The canary's row is locked before it is looked at. So who is raising it has seen this
    mismatch, or is waited for and then lowered.
    """
    samples, ours = names().samples, literal(CANARY)
    mismatches = qualified(MISMATCH_TABLE)
    return f"""DECLARE
  canary numeric;
BEGIN
  SELECT s.percent INTO canary FROM {samples} s WHERE s.name = {ours} FOR UPDATE;
  IF canary > 0 THEN
    {end_canary()};
    INSERT INTO {qualified(AUDIT_TABLE)}
      (event, subject, reason, actor, host, program, session, figures, recorded_at)
    VALUES ('sample', format('canary from %s %% to 0 %%', canary),
      format('a shadow read found the stores of user %s to differ', new.user_id),
      session_user, coalesce(host(inet_client_addr()), 'local'), 'shadow read',
      session_user || '@' || coalesce(host(inet_client_addr()), 'local'),
      jsonb_build_object('user', new.user_id, 'leaves', new.leaves), clock_timestamp());
  END IF;
  DELETE FROM {mismatches} m WHERE m.user_id IN (SELECT o.user_id FROM {mismatches} o
    ORDER BY o.found_at DESC OFFSET {MOST_MISMATCHES});
  RETURN NULL;
END"""

"""What the managers run to read: documents, and who wants a topic, by the route of the moment."""

from __future__ import annotations

from functools import cache, lru_cache

from prefs.mapping import RESIDUE_COLUMN, Leaf
from prefs.routing import DUAL_WRITE, READ_TABLES
from prefs.sql.canary import is_chosen, is_sampled, marked_to_compare, reads_tables
from prefs.sql.expressions import (
    at,
    leaves_text,
    printed,
    put_together,
    put_together_text,
    typed_value,
)
from prefs.sql.functions import BLOB_MISSING, SWITCH_MISSING
from prefs.sql.names import keyset, literal, names, qualified, quote

READ = "prefs_read"
DOCUMENT = "prefs_document"
DOCUMENT_LOCKED = "prefs_document_locked"


def switch(name: str) -> str:
    """The value of one switch as a scalar subquery; NULL where its row is missing."""
    return f"(SELECT w.active FROM {names().switches} w WHERE w.name = {literal(name)})"


def gone() -> str:
    """What the blob's name binds to where the column is gone, as an item of FROM.

    An inner query that names the blob finds it in its own users table first, and in this
    outer item once the column no longer exists: one statement, valid in both times.
    """
    return f"(SELECT {qualified(BLOB_MISSING)}() AS {names().blob}) gone"


def _route() -> str:
    # OFFSET 0: else every mention of a switch is a scan of its own.
    return f"""CROSS JOIN (SELECT {switch(DUAL_WRITE)} AS dual_write,
      {switch(READ_TABLES)} AS read_tables OFFSET 0) r"""


def tables_document(user: str) -> str:
    """The document that the typed rows of the user with the key `user` make."""
    return f"(SELECT {put_together('k')} {typed_row(user)})"


def typed_row(user: str, join: str = "LEFT JOIN", also: str = "") -> str:
    """FROM the typed rows of one user as one, k: (user_id, residue, leaves), and what else of p, n.

    `also` is empty, or begins with a comma.
    """
    residue = f"p.{quote(RESIDUE_COLUMN)}"
    return f"""FROM (SELECT p.user_id, {residue}, {leaves_text("p", "n")} AS leaves{also}
      {rows_of(user, join)} OFFSET 0) k"""


def rows_of(user: str, join: str = "LEFT JOIN") -> str:
    """FROM the typed rows of one user, as p and n; by a `JOIN` nothing where one is missing."""
    n = names()
    return f"""FROM (SELECT) one
      {join} {n.user_table} p ON p.user_id = {user}
      {join} {n.notification_table} n ON n.user_id = {user}"""


@lru_cache(maxsize=64)
def document_of(key: str, *, by_canary: bool = False) -> str:
    """The document of one user by route, as a scalar subquery in a statement of Django's.

    `key` is an expression of that statement; where it is NULL so is the document. A missing
    switch is an error, and so is a route to a column that is gone. Where it answers who asks for
    documents it goes `by_canary`, too; what searches, orders or writes goes by the primary.
    """
    n = names()
    tables = reads_tables("r.key") if by_canary else "r.read_tables"
    return f"""(SELECT CASE WHEN r.dual_write IS NULL OR r.read_tables IS NULL
      THEN {qualified(SWITCH_MISSING)}() WHEN r.key IS NULL THEN NULL
      WHEN {tables} THEN {tables_document("r.key")}
      ELSE (SELECT {n.blob} FROM {n.users} x WHERE x.{n.key} = r.key) END
    {_key_and_route(key)} CROSS JOIN {gone()})"""


@lru_cache(maxsize=64)
def document_text_of(key: str) -> str:
    """Its text, for an instance: '' for a missing switch, and where the text cannot be built.

    So what one user has keeps nobody else from loading; who reads it then is told what it is.
    """
    n = names()
    text = f"""CASE WHEN r.dual_write IS NULL OR r.read_tables IS NULL THEN ''
      WHEN r.key IS NULL THEN NULL
      WHEN {reads_tables("r.key")} THEN (SELECT {put_together_text("k")} {typed_row("r.key")})
      ELSE (SELECT {printed(n.blob)} FROM {n.users} x WHERE x.{n.key} = r.key) END"""
    return f"(SELECT {marked_to_compare(text)} {_key_and_route(key)} CROSS JOIN {gone()})"


@lru_cache(maxsize=64)
def text_of_few(key: str) -> str:
    """The same by a function, which is planned once a session: for a few users it is faster."""
    return f"{qualified(DOCUMENT)}({key})"


def locked_text_of(key: str, *, no_key: bool, nowait: bool, skip_locked: bool) -> str:
    """The same of a row that the statement locks; '' where it is not locked, by SKIP LOCKED.

    After waiting for a lock PostgreSQL reads the locked row anew and nothing else. So this
    locks the row first, as the statement would, and then reads with a snapshot of its own.
    """
    strength = "NO KEY UPDATE" if no_key else "UPDATE"
    waits = " NOWAIT" if nowait else " SKIP LOCKED" if skip_locked else ""
    return f"{qualified(DOCUMENT_LOCKED)}({key}, {literal(strength + waits)})"


def _key_and_route(key: str) -> str:
    return f"""FROM (SELECT {key} AS key, {switch(DUAL_WRITE)} AS dual_write,
      {switch(READ_TABLES)} AS read_tables) r"""


def reading_document() -> str:
    """What `text_of_few` calls does: `document_text_of`, in as many statements as it needs.

    They have one snapshot: STABLE code sees what the statement sees that calls it. To prepare
    an expression takes longer than to evaluate it, so only what this user needs is prepared.
    """
    n = names()
    both = f"d.name = {literal(DUAL_WRITE)} AND r.name = {literal(READ_TABLES)}"
    of_blob = f"SELECT {printed(n.blob)} FROM {n.users} x WHERE x.{n.key} = $1"
    return f"""  DECLARE
    reads_tables boolean;
    by_canary boolean;
    is_compared boolean;
    answer text;
    k record;
  BEGIN
    SELECT r.active, d.active AND NOT r.active AND {is_chosen("$1")}, d.active AND {is_sampled()}
      INTO reads_tables, by_canary, is_compared FROM {n.switches} d, {n.switches} r WHERE {both};
    IF reads_tables OR by_canary THEN
      SELECT p.user_id, p.{quote(RESIDUE_COLUMN)}, {leaves_text("p", "n")} AS leaves,
        p.user_id IS NOT NULL AND n.user_id IS NOT NULL AS whole INTO k {rows_of("$1")};
      by_canary := k.whole;
    END IF;
    IF reads_tables OR by_canary THEN
      IF k.leaves IS NOT NULL AND k.{quote(RESIDUE_COLUMN)} IS NULL THEN
        answer := k.leaves;
      ELSE
        answer := {put_together_text("k")};
      END IF;
    ELSIF NOT reads_tables THEN
      answer := (SELECT ({of_blob}) FROM {gone()});
    ELSE
      RETURN '';
    END IF;
    IF is_compared AND answer IS DISTINCT FROM '' THEN
      RETURN concat(' ', answer);
    END IF;
    RETURN answer;
  END;"""


def reading_locked_document() -> str:
    """What `locked_text_of` calls does."""
    n = names()
    lock = f"PERFORM FROM {n.users} u WHERE u.{n.key} = $1 FOR %s OF u%s;"
    locks = "\n  ELSIF ".join(
        f"$2 = {literal(strength + waits)} THEN\n    {lock % (strength, waits)}"
        for strength in ("NO KEY UPDATE", "UPDATE")
        for waits in (" SKIP LOCKED", " NOWAIT", "")
        if strength + waits != "UPDATE"
    )
    return f"""  IF {locks}
  ELSE
    {lock % ("UPDATE", "")}
  END IF;
  IF NOT FOUND AND $1 IS NOT NULL THEN
    RETURN '';
  END IF;
  RETURN {qualified(DOCUMENT)}($1);"""


@cache
def read() -> str:
    """Documents of `ids`: (user id, dual_write, read_tables, text), in any order.

    The text is NULL for SQL NULL, and '' where it cannot be built; a space goes before one that is
    to be compared.
    """
    return f"SELECT * FROM {qualified(READ)}(%(ids)s::{names().key_type}[])"


@cache
def read_one() -> str:
    """The same of one user, `id`: a client has less work with a key than with a list of them."""
    return f"SELECT * FROM {qualified(READ)}(ARRAY[%(id)s::{names().key_type}])"


def as_printed() -> str:
    """The text of the JSON text `input` as it would be read back, one row."""
    return "SELECT (%(input)s::jsonb)::text"


@cache
def reading() -> str:
    """The statement that `read` stands for."""
    n = names()
    user = f"u.{n.key}"
    of_tables = f"SELECT {put_together_text('k')} {typed_row(user)}"
    of_blob = f"SELECT {printed(n.blob)} FROM {n.users} x WHERE x.{n.key} = {user}"
    text = f"""CASE WHEN {reads_tables(user)} THEN ({of_tables})
        WHEN NOT r.read_tables THEN ({of_blob}) END"""
    return f"""SELECT {user}, r.dual_write, r.read_tables, {marked_to_compare(text)}
    FROM {n.users} u {_route()} CROSS JOIN {gone()} WHERE {user} = ANY(%(ids)s::{n.key_type}[])"""


def is_wanted(leaf: Leaf) -> str:
    """What follows a typed value to ask whether it wants messages."""
    return f" IN ({', '.join(map(literal, leaf.wanted))})" if leaf.wanted else ""


@cache
def audience(leaf: Leaf) -> str:
    """A page of users who want the topic: (dual_write, read_tables, user ids), one row.

    The next `limit` in key order after key `after`. The route is checked in the snapshot of
    the page; the store that is not read is never scanned. An array costs less on its way than
    rows do.
    """
    n = names()
    value = typed_value(leaf.domain, at(n.blob, leaf.path))
    wants = f"({value}){is_wanted(leaf)}"
    blob = f"(SELECT {wants} FROM {n.users} x WHERE x.{n.key} = u.{n.key})"
    return f"""SELECT r.dual_write, r.read_tables, CASE WHEN r.read_tables THEN ARRAY(
      SELECT n.user_id FROM {n.notification_table} n
      WHERE n.{quote(leaf.column)}{is_wanted(leaf)} AND {keyset("n.user_id")}
      ORDER BY n.user_id LIMIT %(limit)s)
    WHEN NOT r.read_tables THEN ARRAY(
      SELECT u.{n.key} FROM {n.users} u CROSS JOIN {gone()}
      WHERE {blob} AND {keyset(f"u.{n.key}")} ORDER BY u.{n.key} LIMIT %(limit)s)
    END FROM (SELECT) one {_route()}"""

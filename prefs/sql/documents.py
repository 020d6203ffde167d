"""What the managers run to read: documents, and who wants a topic, by the route of the moment."""

from __future__ import annotations

from functools import cache, lru_cache

from prefs.mapping import RESIDUE_COLUMN, Leaf
from prefs.routing import CANARY, DUAL_WRITE, READ_TABLES, SHADOW
from prefs.sql.canary import is_chosen, is_sampled, marked_to_compare, sample, settings
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
READ_ONE = "prefs_read_one"
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
    answer = f"""CASE WHEN r.read_tables THEN {tables_document("r.key")}
      ELSE (SELECT {n.blob} FROM {n.users} x WHERE x.{n.key} = r.key) END"""
    if by_canary:
        answer = _by_canary_too("r.key", put_together("k"), n.blob)
    return f"""(SELECT CASE WHEN r.dual_write IS NULL OR r.read_tables IS NULL
      THEN {qualified(SWITCH_MISSING)}() WHEN r.key IS NULL THEN NULL ELSE {answer} END
    {_key_and_route(key)} CROSS JOIN {gone()})"""


@lru_cache(maxsize=64)
def document_text_of(key: str) -> str:
    """Its text, for an instance: '' for a missing switch, and where the text cannot be built.

    So what one user has keeps nobody else from loading; who reads it then is told what it is.
    """
    text = f"""CASE WHEN r.dual_write IS NULL OR r.read_tables IS NULL THEN ''
      WHEN r.key IS NULL THEN NULL ELSE {_text("r.key")} END"""
    marked = marked_to_compare(text, _is_compared("r.key"))
    return f"(SELECT {marked} {_key_and_route(key)} CROSS JOIN {gone()})"


def _by_canary(key: str) -> str:
    # In this order: the percentage is asked for in one route alone, and no digest made at 0.
    percentage = sample(CANARY)
    return f"""r.dual_write AND NOT r.read_tables AND {percentage} > 0
      AND {is_chosen(key, percentage)}"""


def _is_compared(key: str) -> str:
    return f"r.dual_write AND {is_sampled(key, sample(SHADOW))}"


def _text(key: str) -> str:
    """The text of a document by the items r (switches) and `gone`; NULL where one is missing."""
    return _by_canary_too(key, put_together_text("k"), printed(names().blob))


def _by_canary_too(key: str, of_rows: str, of_blob: str) -> str:
    """What `of_rows` makes of the typed rows k, or `of_blob` of the blob: by route and canary.

    Of the canary, who has not both typed rows reads the blob.
    """
    n = names()
    joined = typed_row(key, also=", p.user_id IS NOT NULL AND n.user_id IS NOT NULL AS whole")
    return f"""COALESCE(
      CASE WHEN r.read_tables OR {_by_canary(key)}
        THEN (SELECT CASE WHEN r.read_tables OR k.whole THEN {of_rows} END {joined}) END,
      CASE WHEN NOT r.read_tables
        THEN (SELECT {of_blob} FROM {n.users} x WHERE x.{n.key} = {key}) END)"""


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
    return f"""  DECLARE
    dual_write boolean;
    read_tables boolean;
    is_compared boolean;
    body text;
    {_VARIABLES}
  BEGIN
    {_answering("RETURN NULL;")}
    IF body IS NULL AND (dual_write IS NULL OR read_tables IS NULL) THEN
      RETURN '';
    ELSIF is_compared AND body IS DISTINCT FROM '' THEN
      RETURN concat(' ', body);
    END IF;
    RETURN body;
  END;"""


def reading_one() -> str:
    """What `read_one` calls does: `read` of one user, in the same way."""
    return f"""  DECLARE
    {_VARIABLES}
  BEGIN
    key := $1;
    {_answering("RETURN;")}
    RETURN NEXT;
  END;"""


_VARIABLES = """by_canary boolean := false;
    k record;"""


def _answering(for_nobody: str) -> str:
    """Code that sets dual_write, read_tables, is_compared and body for the user $1.

    Where there is no such user it ends with `for_nobody`; where a switch is missing body is NULL.
    """
    n = names()
    user = f"{n.users} u WHERE u.{n.key} = $1"
    of_blob = f"SELECT {printed(n.blob)} FROM {n.users} x WHERE x.{n.key} = $1"
    residue = quote(RESIDUE_COLUMN)
    return f"""SELECT d.active, r.active INTO dual_write, read_tables FROM (SELECT) one
      LEFT JOIN {n.switches} d ON d.name = {literal(DUAL_WRITE)}
      LEFT JOIN {n.switches} r ON r.name = {literal(READ_TABLES)};
    IF dual_write THEN
      SELECT {is_chosen("$1", "c.canary")} AND NOT read_tables, {is_sampled("$1", "c.shadow")}
        INTO by_canary, is_compared FROM {settings()} c;
    END IF;
    IF read_tables OR by_canary THEN
      SELECT p.user_id, p.{residue}, {leaves_text("p", "n")} AS leaves,
        p.user_id IS NOT NULL AND n.user_id IS NOT NULL AS whole INTO k {rows_of("$1")};
      by_canary := by_canary AND k.whole;
    END IF;
    IF read_tables OR by_canary THEN
      IF k.user_id IS NULL AND NOT EXISTS (SELECT FROM {user}) THEN
        {for_nobody}
      ELSIF k.leaves IS NOT NULL AND k.{residue} IS NULL THEN
        body := k.leaves;
      ELSE
        body := {put_together_text("k")};
      END IF;
    ELSE
      IF NOT read_tables THEN
        SELECT ({of_blob}) INTO body FROM {gone()} CROSS JOIN {user};
      ELSE
        PERFORM FROM {user};
      END IF;
      IF NOT FOUND THEN
        {for_nobody}
      END IF;
    END IF;"""


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
    """Documents of `ids`: (user id, dual_write, read_tables, text, whether to compare it).

    In any order. The text is NULL for SQL NULL, and '' where it cannot be built.
    """
    return f"SELECT * FROM {qualified(READ)}(%(ids)s::{names().key_type}[])"


@cache
def read_one() -> str:
    """The same of one user, `id`: less work for the client, and for the server, than a list."""
    return f"SELECT * FROM {qualified(READ_ONE)}(%(id)s::{names().key_type})"


def as_printed() -> str:
    """The text of the JSON text `input` as it would be read back, one row."""
    return "SELECT (%(input)s::jsonb)::text"


@cache
def reading() -> str:
    """The statement that `read` stands for."""
    n = names()
    user = f"u.{n.key}"
    return f"""SELECT {user}, r.dual_write, r.read_tables, {_text(user)}, {_is_compared(user)}
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

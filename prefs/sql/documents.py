"""What the managers run: one statement to read, and two to write.

The two large ones stand in functions (see `planned`), so that a session plans each once.

A write is a locking statement and then a writing statement, in one transaction. The
locking statement names both switch rows and takes the user's row lock. The writing
statement is a later one on purpose: after waiting for a lock PostgreSQL refreshes the
locked row alone, so a typed row read together with the lock could be an old one.
"""

from __future__ import annotations

from functools import cache

from prefs.mapping import (
    LEAVES,
    NOTIFICATION_TABLE,
    RESIDUE_COLUMN,
    USER_TABLE,
    Leaf,
    Shape,
    WholeNumber,
    leaves_of,
)
from prefs.routing import DUAL_WRITE, READ_TABLES, Route
from prefs.sql.expressions import (
    document,
    literal,
    path_literal,
    quarantined,
    same,
    typed,
    typed_value,
)
from prefs.sql.functions import BLOB_MISSING, DOCUMENT_TEXT, MERGE_PATCH, SWITCH_MISSING
from prefs.sql.names import names, quote

READ = "prefs_read"


def switch(name: str) -> str:
    """The value of one switch as a scalar subquery; NULL where its row is missing."""
    return f"(SELECT w.active FROM {names().switches} w WHERE w.name = {literal(name)})"


# A statement that writes both stores marks itself by its own time, which triggers compare.
def marked() -> str:
    """A condition, true and evaluated once a statement, that marks the statement as ours."""
    return "(SELECT set_config('prefs.writing', statement_timestamp()::text, true)) IS NOT NULL"


def is_marked() -> str:
    """Whether the statement that is running carries the mark of its own time."""
    setting = "current_setting('prefs.writing', true)"
    return f"{setting} IS NOT DISTINCT FROM statement_timestamp()::text"


def _gone() -> str:
    """What the blob's name binds to where the column is gone.

    An inner query that names the blob finds it in its own users table first, and in this
    outer item once the column no longer exists: one statement, valid in both times.
    """
    return f"CROSS JOIN (SELECT {BLOB_MISSING}() AS {names().blob}) gone"


def _route() -> str:
    # OFFSET 0: else every mention of a switch is a scan of its own.
    return f"""CROSS JOIN (SELECT {switch(DUAL_WRITE)} AS dual_write,
      {switch(READ_TABLES)} AS read_tables OFFSET 0) r"""


def tables_document(user: str) -> str:
    """The document that the typed rows of the user with the key `user` make."""
    return f"(SELECT {document('p', 'n')} {_rows_of(user)})"


def _rows_of(user: str, join: str = "LEFT JOIN") -> str:
    n = names()
    return f"""FROM (SELECT) one
      {join} {n.user_table} p ON p.user_id = {user}
      {join} {n.notification_table} n ON n.user_id = {user}"""


def document_of(key: str) -> str:
    """The document of one user by route, as a scalar subquery in a statement of Django's.

    `key` is an expression of that statement; where it is NULL so is the document. A missing
    switch is an error, and so is a route to a column that is gone.
    """
    n = names()
    return f"""(SELECT CASE WHEN r.dual_write IS NULL OR r.read_tables IS NULL
      THEN {SWITCH_MISSING}() WHEN r.key IS NULL THEN NULL
      WHEN r.read_tables THEN {tables_document("r.key")}
      ELSE (SELECT {n.blob} FROM {n.users} x WHERE x.{n.key} = r.key) END
    FROM (SELECT {key} AS key, {switch(DUAL_WRITE)} AS dual_write,
      {switch(READ_TABLES)} AS read_tables) r {_gone()})"""


@cache
def read() -> str:
    """Documents of `ids`: (user id, dual_write, read_tables, text, printable), any order.

    The text is NULL for SQL NULL, and where it cannot be built, which `printable` tells.
    """
    return f"SELECT * FROM {READ}(%(ids)s::{names().key_type}[])"


@cache
def read_one() -> str:
    """The same of one user, `id`: a client has less work with a key than with a list of them."""
    return f"SELECT * FROM {READ}(ARRAY[%(id)s::{names().key_type}])"


@cache
def reading() -> str:
    """The statement that `read` stands for."""
    n = names()
    return f"""SELECT d.key, d.dual_write, d.read_tables, d.body,
      d.doc IS NULL OR d.body IS NOT NULL
    FROM (SELECT s.*, {DOCUMENT_TEXT}(s.doc) AS body FROM (
      SELECT u.{n.key} AS key, r.dual_write, r.read_tables,
        CASE WHEN r.read_tables THEN {tables_document(f"u.{n.key}")}
        WHEN NOT r.read_tables THEN
          (SELECT {n.blob} FROM {n.users} x WHERE x.{n.key} = u.{n.key})
        END AS doc
      FROM {n.users} u {_route()} {_gone()}
      WHERE u.{n.key} = ANY(%(ids)s::{n.key_type}[]) OFFSET 0) s OFFSET 0) d"""


@cache
def lock() -> str:
    """Lock the row of `user`: (dual_write, read_tables, isolation level), or no row.

    FOR NO KEY UPDATE, which foreign-key checks do not wait for.
    """
    n = names()
    return f"""SELECT {switch(DUAL_WRITE)}, {switch(READ_TABLES)},
    current_setting('transaction_isolation')
    FROM {n.users} u WHERE u.{n.key} = %(user)s::{n.key_type} FOR NO KEY UPDATE OF u"""


# How the writing statement makes the new document of what is stored and what came in.
REPLACE = """CASE WHEN %(input)s::jsonb = 'null' AND stored.doc IS NULL THEN NULL
      ELSE %(input)s::jsonb END"""
MERGE = f"{MERGE_PATCH}(stored.doc, %(input)s::jsonb)"


@cache
def write(route: Route, incoming: str) -> str:
    """Write the document of the locked `user`: (text, refused leaves or NULL, size, written).

    As `writing` does for that route and way of making the new document.
    """
    given = f"%(user)s::{names().key_type}, %(input)s, %(unknown)s::text[], %(max_bytes)s"
    return f"SELECT * FROM {writer(route, incoming)}({given})"


def writer(route: Route, incoming: str) -> str:
    """The name of the function that holds such a writing statement."""
    return f"prefs_{'merge' if incoming == MERGE else 'replace'}_{route.name.lower()}"


@cache
def writing(route: Route, incoming: str, *, there: bool = False) -> str:
    """The statement that `write` stands for.

    Takes `user`, `input` (JSON text), `unknown` (dotted leaves whose new value failed a
    test that PostgreSQL cannot make) and `max_bytes`. Where a leaf is refused, or the text
    has grown past `max_bytes` or cannot be built, nothing is written. Only leaves that
    differ from what is stored can be refused. Writes go in one order: users, then the two
    tables. Where the blob is the primary, the capture trigger mirrors it, as it does for
    every other writer.

    Where the tables are, it upserts. The form for a user whose typed rows are both `there` only
    updates, which spares a lock of each row and its WAL; for any other user it answers no row.
    """
    n = names()
    user = f"%(user)s::{n.key_type}"
    stored = f"SELECT u.{n.blob} AS doc FROM {n.users} u WHERE u.{n.key} = {user}"
    if route.reads_tables:
        rows = _rows_of(user, "JOIN" if there else "LEFT JOIN")
        stored = f"SELECT {document('p', 'n')} AS doc {rows} WHERE {marked()}"
    parts = [
        f"stored AS MATERIALIZED ({stored})",
        f"incoming AS MATERIALIZED (SELECT %(user)s::{n.key_type} AS user_id,"
        f" {incoming} AS doc FROM stored)",
        f"sized AS MATERIALIZED (SELECT {DOCUMENT_TEXT}(i.doc) AS body FROM incoming i)",
        f"typed AS MATERIALIZED ({typed('incoming')})",
        f"refused AS MATERIALIZED ({_refused()})",
        f"allowed AS MATERIALIZED ({_allowed()})",
    ]
    before = "TRUE"
    if route.writes_blob:
        parts.append(f"blob AS ({_update_blob()})")
        before = _after("blob")
    if route.reads_tables:
        for table, row in ((USER_TABLE, "user_row"), (NOTIFICATION_TABLE, "notification_row")):
            source = f"(SELECT a.* FROM allowed a WHERE {before}) s"
            write_row = _update_row if there else upsert
            parts.append(f"{row} AS ({write_row(table, source)})")
            before = _after(row)
    ctes = ",\n  ".join(parts)
    return f"""WITH {ctes}
  SELECT s.body, (SELECT jsonb_agg(jsonb_build_object('leaf', f.leaf, 'value', f.value::text,
    'expected', f.expected) ORDER BY f.leaf) FROM refused f)::text,
    octet_length(s.body), EXISTS (SELECT FROM allowed) FROM sized s"""


def _after(cte: str) -> str:
    # Counting its rows makes one write finish before the next begins.
    return f"(SELECT count(*) FROM {cte}) >= 0"


def _refused() -> str:
    """The leaves to refuse: those that do not fit and differ from what is stored.

    They differ by jsonb equality, because Python reads a stored 10.50 as 10.5 and must be
    able to put it back; but 10.0 over a stored 10, which fits, is a change for the worse.
    """
    stood = " OR ".join(
        f"(e.leaf = {literal(leaf.dotted)}"
        f" AND ({typed_value(leaf.domain, _stored(leaf))}) IS NOT NULL)"
        for leaf in LEAVES
        if isinstance(leaf.domain, WholeNumber)
    )
    tested = [leaf for leaf in LEAVES if isinstance(leaf.domain, Shape) and leaf.domain.known]
    unknown = ", ".join(
        f"({literal(leaf.dotted)}, {path_literal(leaf.path)}::text[],"
        f" {literal(leaf.domain.expected)})"
        for leaf in tested
    )
    return f"""SELECT e.leaf, e.value, e.expected
    FROM stored, incoming, typed t, LATERAL (
      {quarantined("t.residue")}
      UNION ALL
      SELECT k.leaf, k.path, t.doc_value, k.expected FROM (VALUES {unknown})
        k(leaf, path, expected), LATERAL (SELECT incoming.doc #> k.path AS doc_value) t
      WHERE k.leaf = ANY(%(unknown)s::text[])
    ) e(leaf, path, value, expected)
    WHERE e.value IS DISTINCT FROM stored.doc #> e.path OR {stood}"""


def _stored(leaf: Leaf) -> str:
    return f"(stored.doc #> {path_literal(leaf.path)})"


def _allowed() -> str:
    """The typed row to write; `octet_length` is compared last, and only where it grew."""
    columns = ", ".join(f"t.{quote(leaf.column)}" for leaf in LEAVES)
    return f"""SELECT t.user_id, i.doc, {columns}, t.{quote(RESIDUE_COLUMN)}
    FROM typed t, incoming i, stored o, sized s
    WHERE NOT EXISTS (SELECT FROM refused)
    AND (i.doc IS NULL OR octet_length(s.body) <= %(max_bytes)s
      OR octet_length(s.body) <= octet_length({DOCUMENT_TEXT}(o.doc)))"""


def _update_blob() -> str:
    n = names()
    return f"""UPDATE {n.users} u SET {n.blob} = a.doc FROM allowed a
    WHERE u.{n.key} = a.user_id AND NOT ({same(f"u.{n.blob}", "a.doc")}) RETURNING 1"""


def columns_of(table: str) -> tuple[str, ...]:
    """The columns of a typed table after user_id, quoted, in order."""
    columns = tuple(quote(leaf.column) for leaf in leaves_of(table))
    return (*columns, quote(RESIDUE_COLUMN)) if table == USER_TABLE else columns


def upsert(table: str, source: str) -> str:
    """A full-row upsert of `source` (aliased s), which leaves equal rows unwritten."""
    columns = columns_of(table)
    return f"""INSERT INTO {quote(table)} AS d (user_id, {", ".join(columns)})
    SELECT s.user_id, {", ".join(f"s.{column}" for column in columns)} FROM {source}
    WHERE {marked()}
    ON CONFLICT (user_id) DO UPDATE SET {_changes(columns, "excluded")} RETURNING 1"""


def _update_row(table: str, source: str) -> str:
    """A full-row update by `source` (aliased s) of the one `user`, if it changes anything."""
    return f"""UPDATE {quote(table)} d SET {_changes(columns_of(table), "s", f" FROM {source}")}
    AND d.user_id = s.user_id AND d.user_id = %(user)s::{names().key_type} RETURNING 1"""


def _changes(columns: tuple[str, ...], to: str, source: str = "") -> str:
    old, new = (", ".join(f"{row}.{column}" for column in columns) for row in ("d", to))
    assignments = ", ".join(f"{column} = {to}.{column}" for column in columns)
    return f"{assignments}{source} WHERE NOT record_image_eq(ROW({old}), ROW({new}))"


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
    value = typed_value(leaf.domain, f"({n.blob} #> {path_literal(leaf.path)})")
    wants = f"({value}){is_wanted(leaf)}"
    blob = f"(SELECT {wants} FROM {n.users} x WHERE x.{n.key} = u.{n.key})"
    after = f"(%(after)s::{n.key_type} IS NULL OR {{key}} > %(after)s::{n.key_type})"
    return f"""SELECT r.dual_write, r.read_tables, CASE WHEN r.read_tables THEN ARRAY(
      SELECT n.user_id FROM {n.notification_table} n
      WHERE n.{quote(leaf.column)}{is_wanted(leaf)} AND {after.format(key="n.user_id")}
      ORDER BY n.user_id LIMIT %(limit)s)
    WHEN NOT r.read_tables THEN ARRAY(
      SELECT u.{n.key} FROM {n.users} u {_gone()}
      WHERE {blob} AND {after.format(key=f"u.{n.key}")} ORDER BY u.{n.key} LIMIT %(limit)s)
    END FROM (SELECT) one {_route()}"""

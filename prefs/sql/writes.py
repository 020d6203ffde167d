"""What the managers run to write: a locking statement, then a writing one, in one transaction.

The locking statement names both switch rows and takes the user's row lock. The writing
statement is a later one on purpose: after waiting for a lock PostgreSQL refreshes the
locked row alone, so a typed row read together with the lock could be an old one. It stands
in functions (see `planned`), so that a session plans it once.
"""

from __future__ import annotations

from functools import cache

from prefs.domains import Shape, WholeNumber
from prefs.mapping import LEAVES, NOTIFICATION_TABLE, RESIDUE_COLUMN, USER_TABLE, leaves_of
from prefs.routing import DUAL_WRITE, READ_TABLES, Route
from prefs.sql.documents import rows_of, switch, typed_row
from prefs.sql.expressions import (
    at,
    leaves_text,
    path_literal,
    printed,
    put_together,
    put_together_text,
    quarantined,
    same,
    typed,
    typed_value,
    typed_whole,
)
from prefs.sql.functions import DOCUMENT_TEXT, MERGE_PATCH, NOT_STORED
from prefs.sql.names import literal, names, qualified, quote

# Which versions of a user's typed rows a statement read.
_VERSIONS = ", p.xmin AS user_version, n.xmin AS notification_version"
_ROWS = {USER_TABLE: "user", NOTIFICATION_TABLE: "notification"}

# A statement that writes both stores marks itself, for triggers to compare, by its own time and by
# how deep in triggers it is: what a trigger sends has the time of the statement that it fired for.
# As PostgreSQL prints it: a trigger's condition is compared with what it prints.
_MARK = "current_setting('prefs.writing'::text, true)"
_TIME = "concat(statement_timestamp(), ' ')"
_HERE = "concat(statement_timestamp(), ' ', pg_trigger_depth())"


def marked() -> str:
    """A condition, true and evaluated once a statement, that marks the statement as ours."""
    return f"(SELECT set_config('prefs.writing', {_HERE}, true)) IS NOT NULL"


def is_not_marked() -> str:
    """In a trigger's condition: whether the statement that it fires for is not ours."""
    return f"{_MARK} IS DISTINCT FROM {_HERE}"


def is_marked() -> str:
    """In a trigger's function, which is one deeper: whether the statement it fired for is ours."""
    fired_for = _HERE.replace("pg_trigger_depth()", "pg_trigger_depth() - 1")
    return f"{_MARK} IS NOT DISTINCT FROM {fired_for}"


def is_within_marked() -> str:
    """In a trigger's function: whether a statement of ours, further out, is under way."""
    return f"pg_trigger_depth() > 1 AND starts_with({_MARK}, {_TIME})"


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
MERGE = f"{qualified(MERGE_PATCH)}(stored.doc, %(input)s::jsonb)"


@cache
def write(route: Route, incoming: str) -> str:
    """Write the document of the locked `user`: (text, refused leaves or NULL, size, written).

    As `writing` does for that route and way of making the new document.
    """
    given = f"%(user)s::{names().key_type}, %(input)s, %(unknown)s::text[], %(max_bytes)s"
    return f"SELECT * FROM {qualified(writer(route, incoming))}({given})"


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
    every other writer. Raises where a trigger of the site's kept the blob from being stored; or,
    where the tables are the primary, had another one stored than they have. Where the blob is the
    primary, the document that was sent comes back as a fifth column.

    Where the tables are the primary it upserts their rows. The form for a user whose rows are
    both `there` updates them, which spares a lock of the row and its WAL; for any other user it
    answers no row. In `TABLES` nor does it where somebody wrote a row past the managers since it
    was read: the form that comes after it has locked the rows (see `lock_rows`).
    """
    n = names()
    user = f"%(user)s::{n.key_type}"
    wary = there and route is Route.TABLES
    stored = f"SELECT u.{n.blob} AS doc FROM {n.users} u WHERE u.{n.key} = {user}"
    if route.reads_tables:
        versions = ", k.user_version, k.notification_version" if wary else ""
        row = typed_row(user, "JOIN" if there else "LEFT JOIN", _VERSIONS if wary else "")
        stored = f"SELECT {put_together('k')} AS doc{versions} {row} WHERE {marked()}"
    parts = [
        f"stored AS MATERIALIZED ({stored})",
        f"incoming AS MATERIALIZED (SELECT %(user)s::{n.key_type} AS user_id,"
        f" {incoming} AS doc FROM stored)",
        f"sized AS MATERIALIZED (SELECT {qualified(DOCUMENT_TEXT)}(i.doc) AS body FROM incoming i)",
        f"typed AS MATERIALIZED ({typed('incoming')})",
        f"refused AS MATERIALIZED ({_refused()})",
        f"allowed AS MATERIALIZED ({_allowed(wary)})",
    ]
    before = "TRUE"
    if route.writes_blob:
        parts.append(f"blob AS ({_update_blob()})")
        before = _after("blob")
    if route.reads_tables:
        for table, row in ((USER_TABLE, "user_row"), (NOTIFICATION_TABLE, "notification_row")):
            source = f"(SELECT a.* FROM allowed a WHERE {before}) s"
            write_row = _update_row(table, source, wary) if there else upsert(table, source)
            parts.append(f"{row} AS ({write_row})")
            before = _after(row)
    ctes = ",\n  ".join(parts)
    sent = "" if route.reads_tables else ", (SELECT i.doc FROM incoming i)"
    unparted = f"WHERE {_as_read('allowed')}" if wary else ""
    return f"""WITH {ctes}
  SELECT s.body, (SELECT jsonb_agg(jsonb_build_object('leaf', f.leaf, 'value', f.value::text,
    'expected', f.expected) ORDER BY f.leaf) FROM refused f)::text,
    octet_length(s.body), {_written(route, user)}{sent} FROM sized s {unparted}"""


def _written(route: Route, user: str) -> str:
    """Whether all was written; it raises where a trigger of the site's had its own way."""
    if not route.writes_blob:
        return "EXISTS (SELECT FROM allowed)"
    n = names()
    done = "SELECT FROM blob"
    due = "SELECT FROM allowed a, stored o WHERE NOT " + same("o.doc", "a.doc")
    if route.reads_tables:
        done = f"SELECT FROM blob b, allowed a WHERE {same('b.doc', 'a.doc')}"
        due = f"""SELECT FROM allowed a, {n.users} u
      WHERE u.{n.key} = a.user_id AND NOT {same(f"u.{n.blob}", "a.doc")}"""
    return f"""CASE WHEN NOT EXISTS (SELECT FROM allowed) THEN FALSE
    WHEN EXISTS ({done}) THEN TRUE
    WHEN EXISTS ({due}) THEN {qualified(NOT_STORED)}({user}::text) ELSE TRUE END"""


@cache
def patching() -> str:
    """The merge of a patch that says nothing but fitting values of leaves, in `TABLES`.

    Takes and answers what `writing` does, and does the same, without a document to take apart:
    it lays the patch's columns over those of the stored rows. It answers no row, and writes
    nothing, where there is more to it: anything in the patch that fits no column, a residue that
    the patch could touch, a row that is missing or that somebody wrote past the managers since it
    was read, a text that is too long.
    """
    user = f"%(user)s::{names().key_type}"
    rows = {USER_TABLE: "p", NOTIFICATION_TABLE: "n"}
    columns = [(rows[leaf.table], quote(leaf.column)) for leaf in LEAVES]
    laid = ", ".join(f"COALESCE(g.{name}, {row}.{name}) AS {name}" for row, name in columns)
    residue = f"p.{quote(RESIDUE_COLUMN)}"
    mapped = path_literal(tuple(dict.fromkeys(leaf.path[0] for leaf in LEAVES)))
    untouched = f"jsonb_typeof({residue}) = 'object' AND NOT {residue} ?| {mapped}::text[]"
    # A residue that is untouched shares no name with the leaves: a concatenation is enough.
    body = f"""CASE WHEN k.residue IS NULL THEN k.leaves
      ELSE {qualified(DOCUMENT_TEXT)}(k.residue || k.leaves::jsonb) END"""
    allowed = "octet_length(a.body) <= %(max_bytes)s"
    source = f"(SELECT a.* FROM laid a WHERE {allowed} AND {{}}) s"
    return f"""WITH laid AS MATERIALIZED (SELECT k.*, {body} AS body FROM (
    SELECT l.*, {leaves_text("l", "l")} AS leaves FROM (
    SELECT p.user_id, {laid}, NULLIF({residue}, '{{}}') AS residue{_VERSIONS}
    {rows_of(user, "JOIN")} CROSS JOIN ({typed_whole("%(input)s::jsonb")}) g
    WHERE {marked()} AND g.whole AND cardinality(%(unknown)s::text[]) = 0
    AND ({residue} IS NULL OR ({untouched}))
    OFFSET 0) l OFFSET 0) k),
  user_row AS ({_update_row(USER_TABLE, source.format("TRUE"), wary=True)}),
  notification_row AS (
    {_update_row(NOTIFICATION_TABLE, source.format(_after("user_row")), wary=True)})
  SELECT a.body, NULL::text, octet_length(a.body), TRUE FROM laid a
  WHERE {allowed} AND {_as_read("laid")}"""


def _as_read(source: str) -> str:
    """Whether each typed row of `source` was written, or need not be, by what was read of it.

    An update that waited for another writer finds that writer's version of the row and leaves it.
    """
    return " AND ".join(
        f"""(EXISTS (SELECT FROM {name}_row) OR NOT EXISTS (SELECT FROM {source} a
      JOIN {qualified(table)} d ON d.user_id = a.user_id WHERE {_differs(table, "a")}))"""
        for table, name in _ROWS.items()
    )


def lock_rows(table: str) -> str:
    """Lock the typed rows of the users `ids` in key order, for statements that come after it.

    In `TABLES` others may write them without the user's lock: raw SQL does.
    """
    key_type = names().key_type
    return f"""SELECT FROM {qualified(table)} r WHERE r.user_id = ANY(%(ids)s::{key_type}[])
    ORDER BY r.user_id FOR NO KEY UPDATE OF r"""


def _after(cte: str) -> str:
    # Counting its rows makes one write finish before the next begins.
    return f"(SELECT count(*) FROM {cte}) >= 0"


def _refused() -> str:
    failed = "k.leaf = ANY(%(unknown)s::text[])"
    entries = refusals("stored.doc", "incoming.doc", "t.residue", failed)
    return f"""SELECT e.leaf, e.value, e.expected
    FROM stored, incoming, typed t, {entries}"""


def refusals(before: str, after: str, residue: str, failed: str) -> str:
    """FROM the leaves to refuse: those of `after` that do not fit and differ from `before`.

    They are e: (leaf, path, value, expected). `failed` is the condition that the leaf k.leaf has
    failed a test that PostgreSQL cannot make. They differ by jsonb equality, because Python reads
    a stored 10.50 as 10.5 and must be able to put it back; but 10.0 over a stored 10, which fits,
    is a change for the worse.
    """
    stood = " OR ".join(
        f"(e.leaf = {literal(leaf.dotted)}"
        f" AND ({typed_value(leaf.domain, at(before, leaf.path))}) IS NOT NULL)"
        for leaf in LEAVES
        if isinstance(leaf.domain, WholeNumber)
    )
    tested = [leaf for leaf in LEAVES if isinstance(leaf.domain, Shape) and leaf.domain.known]
    unknown = ", ".join(
        f"({literal(leaf.dotted)}, {path_literal(leaf.path)}::text[],"
        f" {literal(leaf.domain.expected)})"
        for leaf in tested
    )
    return f"""LATERAL (
      {quarantined(residue)}
      UNION ALL
      SELECT k.leaf, k.path, t.doc_value, k.expected FROM (VALUES {unknown})
        k(leaf, path, expected), LATERAL (SELECT {after} #> k.path AS doc_value) t
      WHERE {failed}
    ) e(leaf, path, value, expected)
    WHERE (e.value IS DISTINCT FROM {before} #> e.path OR {stood})"""


def _allowed(wary: bool) -> str:
    """The typed row to write; `octet_length` is compared last, and only where it grew."""
    columns = ", ".join(f"t.{quote(leaf.column)}" for leaf in LEAVES)
    versions = ", o.user_version, o.notification_version" if wary else ""
    return f"""SELECT t.user_id, i.doc, {columns}, t.{quote(RESIDUE_COLUMN)}{versions}
    FROM typed t, incoming i, stored o, sized s
    WHERE NOT EXISTS (SELECT FROM refused)
    AND (i.doc IS NULL OR octet_length(s.body) <= %(max_bytes)s
      OR octet_length(s.body) <= octet_length({qualified(DOCUMENT_TEXT)}(o.doc)))"""


def _update_blob() -> str:
    n = names()
    return f"""UPDATE {n.users} u SET {n.blob} = a.doc FROM allowed a
    WHERE u.{n.key} = a.user_id AND NOT ({same(f"u.{n.blob}", "a.doc")})
    RETURNING u.{n.blob} AS doc"""


@cache
def stored_blob() -> str:
    """The blob of `user` as it is stored: triggers may have altered what was sent."""
    n = names()
    return f"SELECT u.{n.blob} FROM {n.users} u WHERE u.{n.key} = %(user)s::{n.key_type}"


@cache
def stored_text(route: Route) -> str:
    """The text of the document of `user` in the store that the route reads, '' as in `read`."""
    n = names()
    user = f"%(user)s::{n.key_type}"
    if route.reads_tables:
        return f"SELECT {put_together_text('k')} {typed_row(user)}"
    return f"SELECT {printed(n.blob)} FROM {n.users} u WHERE u.{n.key} = {user}"


def columns_of(table: str) -> tuple[str, ...]:
    """The columns of a typed table after user_id, quoted, in order."""
    columns = tuple(quote(leaf.column) for leaf in leaves_of(table))
    return (*columns, quote(RESIDUE_COLUMN)) if table == USER_TABLE else columns


def upsert(table: str, source: str) -> str:
    """A full-row upsert of `source` (aliased s), which leaves equal rows unwritten."""
    columns = columns_of(table)
    return f"""INSERT INTO {qualified(table)} AS d (user_id, {", ".join(columns)})
    SELECT s.user_id, {", ".join(f"s.{column}" for column in columns)} FROM {source}
    WHERE {marked()}
    ON CONFLICT (user_id) DO UPDATE SET {_assigned(columns, "excluded")}
    WHERE {_differs(table, "excluded")} RETURNING 1"""


def _update_row(table: str, source: str, wary: bool = False) -> str:
    """A full-row update by `source` (aliased s) of the one `user`, if it changes anything.

    A `wary` one leaves a row alone that has another version than was read.
    """
    columns = columns_of(table)
    version = f" AND d.xmin = s.{_ROWS[table]}_version" if wary else ""
    return f"""UPDATE {qualified(table)} d SET {_assigned(columns, "s")} FROM {source}
    WHERE {_differs(table, "s")}
    AND d.user_id = s.user_id AND d.user_id = %(user)s::{names().key_type}{version} RETURNING 1"""


def _assigned(columns: tuple[str, ...], to: str) -> str:
    return ", ".join(f"{column} = {to}.{column}" for column in columns)


def _differs(table: str, to: str) -> str:
    """Whether the row d of a typed table is not the same as `to`."""
    old, new = (", ".join(f"{row}.{c}" for c in columns_of(table)) for row in ("d", to))
    return f"NOT record_image_eq(ROW({old}), ROW({new}))"

"""What backfill, catch-up, verification and restore run, over a key range or a list of ids.

Copying forward inserts rows that are missing, and locks no user: whatever it misses the
difference finds. Overwriting takes the users' row locks first, in key order, as every
write does.
"""

from __future__ import annotations

from functools import cache

from prefs.mapping import NOTIFICATION_TABLE, USER_TABLE
from prefs.routing import DUAL_WRITE, READ_TABLES
from prefs.sql.documents import switch
from prefs.sql.expressions import any_leaf_fits, document, same, typed
from prefs.sql.functions import NOT_STORED
from prefs.sql.names import keyset, names, qualified
from prefs.sql.signals import WORKER
from prefs.sql.writes import columns_of, marked, upsert

COPY = "prefs_copy"
DIFFERENCE = "prefs_difference"


def _key_range(key: str, *, first: bool) -> str:
    """The condition that a user's key is up to `upto`, and after `after` but in the `first` range.

    Two conditions, for a plan that is made once must not choose between them.
    """
    upto = f"{key} <= %(upto)s::{names().key_type}"
    return upto if first else f"{key} > %(after)s::{names().key_type} AND {upto}"


def batch_settings() -> str:
    """Settings of a batch's transaction: its name, `lock_timeout`, no scan of a whole table.

    It is over everybody, so a user whom row security hides from this role is an error.

    A batch is a few users by key, so an index is right whatever the planner's statistics say,
    and so is a join that reads each range once, however few rows they make it expect. A plan for
    any range expects many: it must not call for JIT, nor take parallel workers from others.
    Its commit need not wait for the disk: its cursor is in the same transaction, so a crash
    of the server takes both back, and the commit that ends the run waits for all of them.
    """
    return f"""SELECT set_config('lock_timeout', %(lock_timeout)s, true),
    set_config('row_security', 'off', true),
    set_config('enable_seqscan', 'off', true), set_config('enable_nestloop', 'off', true),
    set_config('jit', 'off', true), set_config('max_parallel_workers_per_gather', '0', true),
    set_config('synchronous_commit', 'off', true),
    set_config('application_name', '{WORKER}', true)"""


@cache
def chunk_end() -> str:
    """The last key and the size of the next `size` users after `after`, up to `last`: one row.

    Without `after` from the first user, without `last` to the end.
    """
    n = names()
    users = f"""FROM {n.users} u
      WHERE {keyset(f"u.{n.key}")}
      AND (%(last)s::{n.key_type} IS NULL OR u.{n.key} <= %(last)s::{n.key_type})"""
    # Only where fewer are left are they counted: to skip users of an index costs half of that.
    return f"""SELECT
      CASE WHEN e.key IS NULL THEN (SELECT u.{n.key} {users} ORDER BY u.{n.key} DESC LIMIT 1)
      ELSE e.key END,
      CASE WHEN e.key IS NULL THEN (SELECT count(*) {users}) ELSE %(size)s END
    FROM (SELECT) one LEFT JOIN (SELECT u.{n.key} AS key {users}
      ORDER BY u.{n.key} OFFSET %(size)s - 1 LIMIT 1) e ON TRUE"""


@cache
def copy_missing() -> str:
    """Copy the users of a key range: one row, as `copying_missing` has it."""
    return f"SELECT * FROM {qualified(COPY)}({_bounds()})"


@cache
def difference() -> str:
    """Users of a key range whose two stores differ, as `differing` has it."""
    return f"SELECT * FROM {qualified(DIFFERENCE)}({_bounds()})"


def _bounds() -> str:
    return ", ".join(f"%({name})s::{names().key_type}" for name in ("after", "upto"))


@cache
def copying_missing(*, first: bool) -> str:
    """Copy the users of a key range that lack typed rows, while the blob is the primary.

    (user rows, notification rows, dual_write, read_tables). The statement itself names the
    switches, so a flip's drain waits for it; where the tables are the primary by then it
    copies nothing. A row that somebody else adds at the same time breaks the statement
    (23505), which is cheaper, over all, than to look for it before every row.
    """
    n = names()
    inserts = [
        f"""INSERT INTO {qualified(table)} (user_id, {", ".join(columns_of(table))})
    SELECT t.user_id, {", ".join(f"t.{column}" for column in columns_of(table))} FROM typed t
    WHERE {marked()} AND NOT t.{has} RETURNING user_id"""
        for table, has in ((USER_TABLE, "has_user"), (NOTIFICATION_TABLE, "has_notification"))
    ]
    return f"""WITH source AS (
      SELECT u.{n.key} AS user_id, u.{n.blob} AS doc, p.user_id IS NOT NULL AS has_user,
        n.user_id IS NOT NULL AS has_notification {_joined_by_range(first=first)}
      WHERE {_key_range(f"u.{n.key}", first=first)} AND NOT {switch(READ_TABLES)}
      AND (p.user_id IS NULL OR n.user_id IS NULL)
      ORDER BY u.{n.key}),
    typed AS MATERIALIZED ({typed("source", "has_user", "has_notification")}),
    user_row AS ({inserts[0]}),
    notification_row AS ({inserts[1]})
    SELECT (SELECT count(*) FROM user_row), (SELECT count(*) FROM notification_row),
    {switch(DUAL_WRITE)}, {switch(READ_TABLES)}"""


@cache
def overwrite_tables() -> str:
    """Write the blobs of the users `ids` to the tables, under their row locks: two counts.

    One statement: the lock returns the blob of the row it locked, and the upsert meets the
    typed row as it is, even one newer than the snapshot.
    """
    n = names()
    return f"""WITH source AS MATERIALIZED (
      SELECT u.{n.key} AS user_id, u.{n.blob} AS doc FROM {n.users} u
      WHERE u.{n.key} = ANY(%(ids)s::{n.key_type}[])
      ORDER BY u.{n.key} FOR NO KEY UPDATE OF u),
    {upserts("source")}"""


@cache
def lock_users() -> str:
    """Lock the users `ids` in key order: (user id, dual_write, read_tables, isolation level).

    It names the switches, as every write does, so that a flip's drain waits for this too.
    """
    n = names()
    return f"""SELECT u.{n.key}, {switch(DUAL_WRITE)}, {switch(READ_TABLES)},
    current_setting('transaction_isolation')
    FROM {n.users} u WHERE u.{n.key} = ANY(%(ids)s::{n.key_type}[])
    ORDER BY u.{n.key} FOR NO KEY UPDATE OF u"""


@cache
def overwrite_blob() -> str:
    """Write the documents of the users `ids`, locked by an earlier statement, to the blob: no row.

    Raises where a trigger of the site's kept one from being stored as it is.
    """
    n = names()
    return f"""WITH d AS MATERIALIZED (SELECT e.user_id, e.doc FROM (
      SELECT u.{n.key} AS user_id, u.{n.blob} AS held, {document("p", "n")} AS doc {joined()}
      WHERE u.{n.key} = ANY(%(ids)s::{n.key_type}[]) AND {marked()} OFFSET 0) e
      WHERE NOT ({same("e.held", "e.doc")})),
    blob AS (UPDATE {n.users} u SET {n.blob} = d.doc FROM d
      WHERE u.{n.key} = ANY(%(ids)s::{n.key_type}[]) AND u.{n.key} = d.user_id
      RETURNING u.{n.key} AS user_id, u.{n.blob} AS doc)
    SELECT {qualified(NOT_STORED)}(d.user_id::text) FROM d LEFT JOIN blob b ON b.user_id = d.user_id
    WHERE b.user_id IS NULL OR NOT ({same("b.doc", "d.doc")})"""


@cache
def settle_tables() -> str:
    """Give the locked users `ids` the typed rows that their documents call for.

    Only where a row is missing, or the residue holds a leaf that belongs in its column:
    neither changes what the user's document reads as.
    """
    n = names()
    return f"""WITH source AS MATERIALIZED (
      SELECT u.{n.key} AS user_id, {document("p", "n")} AS doc {joined()}
      WHERE u.{n.key} = ANY(%(ids)s::{n.key_type}[]) AND ({_unsettled()})),
    {upserts("source")}"""


def upserts(source: str, columns: str = "{user_rows}, {notification_rows}") -> str:
    """CTEs that upsert `source` into both tables, one after the other, and their counts."""
    counts = columns.format(
        user_rows="(SELECT count(*) FROM user_row)",
        notification_rows="(SELECT count(*) FROM notification_row)",
    )
    after = "(SELECT t.* FROM typed t WHERE (SELECT count(*) FROM user_row) >= 0) s"
    return f"""typed AS MATERIALIZED ({typed(source)}),
    user_row AS ({upsert(USER_TABLE, "typed s")}),
    notification_row AS ({upsert(NOTIFICATION_TABLE, after)})
    SELECT {counts}"""


def joined() -> str:
    """Users and their typed rows, looked up by key, one user after the other.

    OFFSET 0 keeps the lookups as they are written. Where the planner's statistics say that
    there are no rows (after a bulk load they can), it would take reading a whole index for
    every user to be as cheap.
    """
    n = names()
    lookups = "".join(
        f"""
      LEFT JOIN LATERAL (SELECT * FROM {table} r WHERE r.user_id = u.{n.key} OFFSET 0) {alias}
        ON TRUE"""
        for table, alias in ((n.user_table, "p"), (n.notification_table, "n"))
    )
    return f"FROM {n.users} u{lookups}"


def _joined_by_range(*, first: bool) -> str:
    """Users of a key range and their typed rows, by three index scans."""
    n = names()
    rows = "".join(
        f"""
      LEFT JOIN (SELECT * FROM {table} r WHERE {_key_range("r.user_id", first=first)}) {alias}
        ON {alias}.user_id = u.{n.key}"""
        for table, alias in ((n.user_table, "p"), (n.notification_table, "n"))
    )
    return f"FROM {n.users} u{rows}"


@cache
def differing(*, first: bool) -> str:
    """Users of a key range whose two stores differ, in key order: (user id).

    They differ where a row is missing, where the document is not the blob byte for byte,
    or where the residue holds a leaf that belongs in its column.
    """
    n = names()
    return f"""SELECT u.{n.key} {_joined_by_range(first=first)}
    WHERE {_key_range(f"u.{n.key}", first=first)} AND ({differs()}) ORDER BY u.{n.key}"""


@cache
def difference_of() -> str:
    """The same for the users `ids`, wherever their keys are."""
    n = names()
    return f"""SELECT u.{n.key} {joined()}
    WHERE u.{n.key} = ANY(%(ids)s::{n.key_type}[]) AND ({differs()}) ORDER BY u.{n.key}"""


def differs() -> str:
    """Whether the stores of a user of `joined` differ."""
    n = names()
    return f"""NOT ({same(document("p", "n"), f"u.{n.blob}")}) OR {_unsettled()}"""


def _unsettled() -> str:
    n = names()
    return f"""p.user_id IS NULL OR n.user_id IS NULL
      OR (p.{n.residue} IS NOT NULL AND {any_leaf_fits(f"p.{n.residue}")})"""


@cache
def random_users() -> str:
    """At most `size` of about `percent` of all users, at random over the whole table."""
    n = names()
    return f"""SELECT s.key FROM (SELECT u.{n.key} AS key FROM {n.users} u
      TABLESAMPLE BERNOULLI (%(percent)s)) s ORDER BY random() LIMIT %(size)s"""

"""What gates, drain, drop and restore ask PostgreSQL's catalogs about our tables."""

from __future__ import annotations

from prefs.mapping import BLOB_COLUMN
from prefs.routing import DUAL_WRITE, READ_TABLES
from prefs.sql.documents import READ, switch
from prefs.sql.names import literal, names, oids
from prefs.sql.trigger_functions import TURNING
from prefs.sql.triggers import capture_triggers


def state() -> str:
    """(dual_write, read_tables, whether the blob's column exists), in one snapshot."""
    return f"SELECT {switch(DUAL_WRITE)}, {switch(READ_TABLES)}, {has_column()}"


def has_column() -> str:
    """Whether the blob's column exists, as an expression; without the users table it does not."""
    users = literal(names().users)
    return f"""EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass({users})
      AND attname = {literal(BLOB_COLUMN)} AND NOT attisdropped)"""


# --- the drain -----------------------------------------------------------------------

# Row-share and stronger: what a write, and only a write, holds on these tables.
_WRITING = (
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)


def writers() -> str:
    """Transactions that may be writing by a route they read: (virtual transaction).

    Those that hold a lock on the switches and a writer's lock on users or a preference
    table. Both are taken before the statement's snapshot and kept to the end, so whoever
    read the switches before a flip committed is listed after it. Prepared transactions are
    among them. This is how CREATE INDEX CONCURRENTLY finds whom to wait for.
    """
    n = names()
    tables = oids(n.users, n.user_table, n.notification_table)
    return f"""WITH l AS MATERIALIZED (SELECT virtualtransaction, pid, relation, mode FROM pg_locks
      WHERE locktype = 'relation'
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
    SELECT DISTINCT s.virtualtransaction FROM l s
    WHERE s.relation = {literal(n.switches)}::regclass
    AND s.pid IS DISTINCT FROM pg_backend_pid()
    AND EXISTS (SELECT FROM l w WHERE w.virtualtransaction = s.virtualtransaction
      AND w.relation IN ({tables}) AND w.mode IN ({", ".join(map(literal, _WRITING))}))"""


def describe_writers() -> str:
    """What the transactions `writers` are doing: (pid, name, state, seconds, statement).

    A prepared transaction has no pid; its name is the one it was prepared by.
    """
    return """SELECT s.pid, s.application_name, coalesce(s.state, 'unknown'),
      coalesce(extract(epoch FROM clock_timestamp() - s.xact_start), 0)::float,
      coalesce(left(s.query, 200), '')
    FROM pg_stat_activity s WHERE s.pid IN (SELECT l.pid FROM pg_locks l
      WHERE l.virtualtransaction = ANY(%(writers)s::text[]))
    UNION ALL
    SELECT NULL::integer, p.gid, 'prepared',
      extract(epoch FROM clock_timestamp() - p.prepared)::float, ''
    FROM pg_prepared_xacts p WHERE p.transaction IN (SELECT l.transactionid FROM pg_locks l
      WHERE l.virtualtransaction = ANY(%(writers)s::text[]))
    ORDER BY 1"""


def holders(*, against_readers: bool) -> str:
    """Transactions that hold one of `tables` against DDL: (virtual transaction).

    Readers hold it only against a lock that is `against_readers`.
    """
    modes = ", ".join(map(literal, _WRITING[1:]))
    conflicting = "TRUE" if against_readers else f"mode IN ({modes})"
    return f"""SELECT DISTINCT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND granted AND pid IS DISTINCT FROM pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND relation = ANY(%(tables)s::text[]::regclass[]) AND {conflicting}"""


# --- what the gates ask --------------------------------------------------------------


def stored_settings() -> str:
    """Every stored value of the settings `names` that a session here could start with.

    (where it is set, name, value): the server, this database, a role.
    """
    return """WITH s AS MATERIALIZED (SELECT name, reset_val, setting FROM pg_settings
      WHERE name = ANY(%(names)s::text[]))
    SELECT 'server', name, reset_val FROM s
    UNION ALL
    SELECT 'session', name, setting FROM s
    UNION ALL
    SELECT concat_ws(' in ', 'role ' || coalesce(r.rolname, 'any'),
        'database ' || coalesce(d.datname, 'any')),
      split_part(c, '=', 1), split_part(c, '=', 2)
    FROM pg_db_role_setting s
    LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase,
    LATERAL unnest(s.setconfig) c
    WHERE (s.setdatabase = 0 OR d.datname = current_database())
    AND split_part(c, '=', 1) = ANY(%(names)s::text[])"""


def subscribed_tables() -> str:
    """Those of our tables that logical replication applies changes into: (table)."""
    n = names()
    return f"""SELECT srrelid::regclass::text FROM pg_subscription_rel
    WHERE srrelid IN ({oids(n.users, n.user_table, n.notification_table)}) ORDER BY 1"""


def sessions() -> str:
    """Client sessions of this database but our own: (pid, application, user, client).

    An ordinary role sees no backend_type of another role's session, but its name and role;
    a worker of the server's own has no role.
    """
    return """SELECT pid, coalesce(application_name, ''), usename,
      coalesce(client_addr::text, 'local')
    FROM pg_stat_activity WHERE datname = current_database()
    AND coalesce(backend_type, 'client backend') = 'client backend' AND usesysid IS NOT NULL
    AND pid <> pg_backend_pid() ORDER BY pid"""


def dependents() -> str:
    """What would be lost or broken with the column: (description).

    Its default, its indexes and our triggers are not listed: restore brings them back. A
    unique index is: nothing would keep the tables to it, and then it could not be built again.
    """
    n = names()
    own = ", ".join(literal(trigger.name) for trigger in capture_triggers())
    return f"""SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid)
    FROM pg_depend d
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = {literal(n.users)}::regclass
    AND a.attname = {literal(BLOB_COLUMN)}
    AND NOT EXISTS (SELECT FROM pg_attrdef f WHERE d.classid = 'pg_attrdef'::regclass
      AND f.oid = d.objid AND f.adrelid = a.attrelid AND f.adnum = a.attnum)
    AND NOT EXISTS (SELECT FROM pg_index i
      WHERE d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid AND NOT i.indisunique)
    AND NOT EXISTS (SELECT FROM pg_constraint k WHERE d.classid = 'pg_constraint'::regclass
      AND k.oid = d.objid AND k.contype = 'n')
    AND NOT EXISTS (SELECT FROM pg_trigger t WHERE d.classid = 'pg_trigger'::regclass
      AND t.oid = d.objid AND t.tgname IN ({own}))
    ORDER BY 1"""


def column_definition() -> str:
    """How the column is made: (type, default, not null, comment, index definitions, privileges).

    Privileges are those on the column alone: (role or PUBLIC, privilege, with grant option).
    """
    n = names()
    return f"""SELECT format_type(a.atttypid, a.atttypmod), pg_get_expr(f.adbin, f.adrelid),
    a.attnotnull, col_description(a.attrelid, a.attnum),
    ARRAY(SELECT DISTINCT pg_get_indexdef(i.indexrelid) FROM pg_depend d
      JOIN pg_index i ON i.indexrelid = d.objid
      WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum ORDER BY 1),
    ARRAY(SELECT ARRAY[coalesce(r.rolname, 'PUBLIC'), g.privilege_type, g.is_grantable::text]
      FROM aclexplode(a.attacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee
      WHERE r.oid IS NOT NULL OR g.grantee = 0 ORDER BY 1)
    FROM pg_attribute a LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
    WHERE a.attrelid = {literal(n.users)}::regclass AND a.attname = {literal(BLOB_COLUMN)}
    AND NOT a.attisdropped"""


def users_estimate() -> str:
    """About how many users there are, from the planner's statistics: never a full scan."""
    n = names()
    return f"""SELECT greatest(reltuples, 0)::bigint FROM pg_class
    WHERE oid = {literal(n.users)}::regclass"""


def users_up_to() -> str:
    """How many users there are, counting no further than `limit`."""
    n = names()
    return f"SELECT count(*) FROM (SELECT FROM {n.users} LIMIT %(limit)s) u"


def allow_turning() -> str:
    """Let this transaction, and no other, turn the switches."""
    return f"SELECT set_config('{TURNING}', pg_current_xact_id()::text, true)"


def tables_alone() -> str:
    """Whether the typed tables are there and the function that reads is not."""
    n = names()
    return f"""SELECT to_regclass({literal(n.user_table)}) IS NOT NULL AND NOT EXISTS (
      SELECT FROM pg_proc WHERE proname = {literal(READ)} AND pronamespace = (SELECT c.relnamespace
        FROM pg_class c WHERE c.oid = to_regclass({literal(n.user_table)})))"""


def turner() -> str:
    """(isolation level, whether it has turned a switch before) of this transaction."""
    return f"""SELECT current_setting('transaction_isolation'), coalesce(
      current_setting('{TURNING}', true) = pg_current_xact_id_if_assigned()::text, false)"""


def set_switch() -> str:
    """Turn the switch `name` to `active`."""
    return (
        f"UPDATE {names().switches} SET active = %(active)s, modified = now() WHERE name = %(name)s"
    )


def counts() -> str:
    """(users, users with typed rows), in one snapshot."""
    n = names()
    return f"SELECT (SELECT count(*) FROM {n.users}), (SELECT count(*) FROM {n.user_table})"

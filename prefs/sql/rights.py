"""Who may do what: the rights of roles on our tables and functions, and row security.

A role gets on the typed tables what it has on the column, and no more. Where the users table has
row security, policies on the tables that hold documents follow it, by asking for the user's row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from prefs.mapping import BLOB_COLUMN, NOTIFICATION_TABLE, USER_TABLE
from prefs.sql.expressions import literal
from prefs.sql.names import ARCHIVE_TABLE, DEPARTURE_TABLE, names, qualified, quote

TYPED_TABLES = (USER_TABLE, NOTIFICATION_TABLE)
# Those that hold documents, or what is left of them.
DOCUMENT_TABLES = (*TYPED_TABLES, ARCHIVE_TABLE)
KEPT_TABLES = (*DOCUMENT_TABLES, DEPARTURE_TABLE)
PUBLIC = "PUBLIC"

# The column's own rights, or those that it had when it was dropped.
_RIGHTS = """rights AS (
    SELECT a.grantee, a.privilege_type FROM pg_class c,
      aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a WHERE c.oid = {users}::regclass
    UNION SELECT a.grantee, a.privilege_type FROM pg_attribute t, aclexplode(t.attacl) a
    WHERE t.attrelid = {users}::regclass AND t.attname = {column} AND NOT t.attisdropped
    UNION SELECT r.oid, g.privilege FROM unnest(%(grantees)s::text[], %(privileges)s::text[])
      g(grantee, privilege) JOIN pg_roles r ON r.rolname = g.grantee)"""


def _rights() -> str:
    return _RIGHTS.format(users=literal(names().users), column=literal(BLOB_COLUMN))


@cache
def holders() -> str:
    """Who has rights on the column: (role, superuser, may select, may update).

    By grants to the role itself; PUBLIC is among them. `grantees` and `privileges` are those
    that were on the column when it was dropped.
    """
    return f"""WITH {_rights()}
    SELECT coalesce(r.rolname, {literal(PUBLIC)}), coalesce(r.rolsuper, false),
      bool_or(g.privilege_type = 'SELECT'), bool_or(g.privilege_type = 'UPDATE')
    FROM rights g LEFT JOIN pg_roles r ON r.oid = g.grantee GROUP BY 1, 2 ORDER BY 1"""


@cache
def effective() -> str:
    """What the roles `roles` may do to the column, by whatever grant: (role, select, update).

    A role that does not exist is left out.
    """
    return f"""WITH {_rights()}
    SELECT r.rolname, r.rolsuper OR coalesce(bool_or(g.privilege_type = 'SELECT'), false),
      r.rolsuper OR coalesce(bool_or(g.privilege_type = 'UPDATE'), false)
    FROM pg_roles r LEFT JOIN rights g ON g.grantee = 0 OR pg_has_role(r.oid, g.grantee, 'USAGE')
    WHERE r.rolname = ANY(%(roles)s::text[]) GROUP BY r.rolname, r.rolsuper"""


@cache
def lacking() -> str:
    """What `role` lacks to use preferences: (statement that grants it).

    `reads` and `writes` say what it may do to the column.
    """
    n = names()
    switches = literal(n.switches)
    tables = ", ".join(literal(qualified(table)) for table in TYPED_TABLES)
    return f"""SELECT format('GRANT %%s ON %%s TO %%I', string_agg(p, ', ' ORDER BY o), t, r)
    FROM (SELECT %(role)s::name AS r) role, unnest(ARRAY[{tables}]) t,
      unnest(CASE WHEN %(reads)s THEN ARRAY['SELECT'] ELSE '{{}}' END
        || CASE WHEN %(writes)s THEN ARRAY['INSERT', 'UPDATE'] ELSE '{{}}' END)
      WITH ORDINALITY p(p, o)
    WHERE NOT has_table_privilege(r, t, p) GROUP BY r, t
    UNION ALL
    SELECT format('GRANT SELECT (name, active) ON %%s TO %%I', {switches}, r)
    FROM (SELECT %(role)s::name AS r) role WHERE %(reads)s
    AND NOT (has_column_privilege(r, {switches}, 'name', 'SELECT')
      AND has_column_privilege(r, {switches}, 'active', 'SELECT'))
    UNION ALL
    SELECT format('GRANT EXECUTE ON FUNCTION %%s TO %%I', f, r)
    FROM (SELECT %(role)s::name AS r) role, unnest(%(functions)s::text[]) f
    WHERE to_regprocedure(f) IS NOT NULL
    AND NOT has_function_privilege(r, to_regprocedure(f)::oid, 'EXECUTE')
    UNION ALL
    SELECT format('GRANT USAGE ON SCHEMA %%I TO %%I', s.nspname, r)
    FROM (SELECT %(role)s::name AS r) role, pg_namespace s
    WHERE s.oid IN (SELECT c.relnamespace FROM pg_class c
      WHERE c.oid IN ({switches}::regclass, {literal(n.user_table)}::regclass))
    AND NOT has_schema_privilege(r, s.oid, 'USAGE')"""


@cache
def granted() -> str:
    """Grants on the tables that hold documents, but their owners': (table, role, privilege).

    Those on single columns of them, too.
    """
    tables = ", ".join(f"({literal(t)}, {literal(qualified(t))}::regclass)" for t in KEPT_TABLES)
    return f"""SELECT t.name, coalesce(r.rolname, {literal(PUBLIC)}), a.privilege_type
    FROM (VALUES {tables}) t(name, id) JOIN pg_class c ON c.oid = t.id,
    LATERAL (SELECT * FROM aclexplode(c.relacl)
      UNION SELECT b.* FROM pg_attribute f, aclexplode(f.attacl) b WHERE f.attrelid = c.oid) a
    LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE a.grantee <> c.relowner AND NOT coalesce(r.rolsuper, false) ORDER BY 1, 2, 3"""


@cache
def locks_users() -> str:
    """Whether `role` may lock a user's row without the column: by UPDATE on any other."""
    n = names()
    return f"""SELECT EXISTS (SELECT FROM pg_attribute a
      WHERE a.attrelid = {literal(n.users)}::regclass AND a.attnum > 0 AND NOT a.attisdropped
      AND a.attname <> {literal(BLOB_COLUMN)}
      AND has_column_privilege(%(role)s::name, a.attrelid, a.attnum, 'UPDATE'))"""


def revoke(table: str, role: str, privilege: str) -> str:
    """The statement that takes a privilege from a role, on the table and on its columns."""
    who = role if role == PUBLIC else quote(role)
    return f"REVOKE {privilege} ON {qualified(table)} FROM {who}"


def role() -> str:
    """One row where the role `role` is there."""
    return "SELECT FROM pg_roles WHERE rolname = %(role)s"


def grant_on_column(role: str, privilege: str, grantable: bool) -> str:
    """The statement that gives a role a privilege on the column alone."""
    n, who = names(), role if role == PUBLIC else quote(role)
    option = " WITH GRANT OPTION" if grantable else ""
    return f"GRANT {privilege} ({n.blob}) ON {n.users} TO {who}{option}"


@cache
def definers() -> str:
    """Owners of the functions with these `signatures` who may not do what those do: (role, lack).

    Such a function runs with its owner's rights, for whoever writes users.
    """
    n = names()
    wants = [
        (n.users, "SELECT"),
        (n.switches, "SELECT"),
        *((qualified(t), p) for t in TYPED_TABLES for p in ("SELECT", "INSERT", "UPDATE")),
        (qualified(DEPARTURE_TABLE), "INSERT"),
    ]
    pairs = ", ".join(f"({literal(table)}, {literal(right)})" for table, right in wants)
    return f"""SELECT DISTINCT o.rolname, format('GRANT %%s ON %%s TO %%I', w.p, w.t, o.rolname)
    FROM unnest(%(signatures)s::text[]) s(signature)
    JOIN pg_proc f ON f.oid = to_regprocedure(s.signature)
    JOIN pg_roles o ON o.oid = f.proowner, (VALUES {pairs}) w(t, p)
    WHERE NOT has_table_privilege(o.oid, w.t, w.p) ORDER BY 1, 2"""


# --- row security --------------------------------------------------------------------


@cache
def hidden() -> str:
    """Whom row security hides rows from: (role, table), of this role and the definers.

    A superuser, a role with BYPASSRLS and the owner of a table without FORCE see every row;
    for all others a statement with row_security off is an error.
    """
    tables = ", ".join(
        f"{literal(table)}::regclass"
        for table in (names().users, *(qualified(t) for t in KEPT_TABLES))
    )
    return f"""SELECT r.rolname, c.oid::regclass::text FROM pg_roles r, pg_class c
    WHERE c.oid IN ({tables}) AND c.relrowsecurity AND NOT r.rolsuper AND NOT r.rolbypassrls
    AND NOT (pg_has_role(r.oid, c.relowner, 'USAGE') AND NOT c.relforcerowsecurity)
    AND (r.rolname = current_user OR r.oid IN (SELECT p.proowner FROM
      unnest(%(signatures)s::text[]) s(signature)
      JOIN pg_proc p ON p.oid = to_regprocedure(s.signature))) ORDER BY 1, 2"""


def seeing() -> str:
    """The session's row_security, as it is."""
    return "SELECT current_setting('row_security')"


def see() -> str:
    """Set it to `value` for this transaction: off makes hidden rows an error."""
    return "SELECT set_config('row_security', %(value)s, true)"


@cache
def row_security() -> str:
    """Row security of tables with documents, and of users under '': (table, on, forced)."""
    tables = ", ".join(
        f"({literal(t)}, {literal(qualified(t))}::regclass)" for t in DOCUMENT_TABLES
    )
    return f"""SELECT t.name, c.relrowsecurity, c.relforcerowsecurity
    FROM (VALUES {tables}, ('', {literal(names().users)}::regclass)) t(name, id)
    JOIN pg_class c ON c.oid = t.id ORDER BY 1"""


@cache
def policies() -> str:
    """Policies on the table `table`: (name, permissive, command, to everybody, USING, CHECK)."""
    return """SELECT polname, polpermissive, polcmd, polroles = '{0}',
      regexp_replace(pg_get_expr(polqual, polrelid), '[[:space:]]+', ' ', 'g'),
      regexp_replace(pg_get_expr(polwithcheck, polrelid), '[[:space:]]+', ' ', 'g')
    FROM pg_policy WHERE polrelid = %(table)s::regclass ORDER BY polname"""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A policy of a table that follows the users table: who has the user has the row.

    For a write the user's row is locked, as every write does first; so it asks for what the
    users table lets this role update, not only for what it shows.
    """

    name: str
    command: str
    table: str

    @property
    def reads(self) -> bool:
        return self.command == "SELECT"

    @property
    def create(self) -> str:
        clause = "WITH CHECK" if self.command == "INSERT" else "USING"
        n, table = names(), quote(self.table)
        lock = "" if self.reads else " FOR NO KEY UPDATE OF u"
        return (
            f"CREATE POLICY {self.name} ON {qualified(self.table)} FOR {self.command} {clause}"
            f" (EXISTS (SELECT FROM {n.users} u WHERE u.{n.key} = {table}.user_id{lock}))"
        )

    @property
    def drop(self) -> str:
        return f"DROP POLICY IF EXISTS {quote(self.name)} ON {qualified(self.table)}"

    def printed(self) -> tuple[str, str | None, str | None]:
        """(command, USING, CHECK) as the catalog has it, spaces and quotes aside."""
        n = names()
        lock = "" if self.reads else " FOR NO KEY UPDATE OF u"
        asked = (
            f"(EXISTS ( SELECT FROM {n.users} u WHERE (u.{n.key} = {self.table}.user_id){lock}))"
        )
        added = self.command == "INSERT"
        letter = {"SELECT": "r", "INSERT": "a", "UPDATE": "w"}[self.command]
        return letter, None if added else asked, asked if added else None


def policies_of(table: str) -> tuple[Policy, ...]:
    """The policies that a table has where users have row security; the archive is only read."""
    commands = {"prefs_sees": "SELECT", "prefs_adds": "INSERT", "prefs_changes": "UPDATE"}
    chosen = ("prefs_sees",) if table == ARCHIVE_TABLE else tuple(commands)
    return tuple(Policy(name=name, command=commands[name], table=table) for name in chosen)


def switch_row_security(table: str, *, on: bool, forced: bool) -> str:
    """The statement that turns the row security of a table on or off."""
    return (
        f"ALTER TABLE {qualified(table)} {'ENABLE' if on else 'DISABLE'} ROW LEVEL SECURITY,"
        f" {'FORCE' if forced else 'NO FORCE'} ROW LEVEL SECURITY"
    )


# --- what the migration is not made for ----------------------------------------------


@cache
def unsupported() -> str:
    """Tables that the protocol does not hold for, as far as they are there: (table, why).

    `distributed` are those that Citus manages, by their names with schema.
    """
    n = names()
    tables = ", ".join(
        literal(table) for table in (n.users, n.switches, *(qualified(t) for t in KEPT_TABLES))
    )
    return f"""SELECT c.oid::regclass::text, w.why FROM unnest(ARRAY[{tables}]) t
    JOIN pg_class c ON c.oid = to_regclass(t), LATERAL (VALUES
      (c.relkind = 'p' OR c.relispartition, 'is partitioned'),
      (c.relkind = 'f', 'is a foreign table'),
      (c.relkind NOT IN ('r', 'p', 'f'), 'is no table'),
      (NOT c.relispartition AND EXISTS (SELECT FROM pg_inherits i
        WHERE c.oid IN (i.inhrelid, i.inhparent) AND c.relkind = 'r'), 'inherits, or is inherited'),
      (c.relpersistence = 'u', 'is unlogged: a crash empties it'),
      (c.relpersistence = 't', 'is temporary'),
      (c.oid = ANY(%(distributed)s::oid[]), 'is managed by Citus')) w(so, why)
    WHERE w.so ORDER BY 1, 2"""


def citus_catalog() -> str:
    """(Citus's table of the tables that it manages or NULL, whether this is a replica)."""
    return "SELECT to_regclass('pg_dist_partition')::text, pg_is_in_recovery()"


def distributed(table: str) -> str:
    """The tables that Citus manages: (oid)."""
    return f"SELECT logicalrelid::oid FROM {table}"

"""Who may do what: the rights of roles on our tables and functions.

A role gets on the typed tables what it has on the column, and no more.
"""

from __future__ import annotations

from prefs.mapping import BLOB_COLUMN, NOTIFICATION_TABLE, USER_TABLE
from prefs.sql.names import (
    ARCHIVE_TABLE,
    AUDIT_TABLE,
    DEPARTURE_TABLE,
    MISMATCH_TABLE,
    SHADOW_TABLE,
    literal,
    names,
    qualified,
    quote,
)

TYPED_TABLES = (USER_TABLE, NOTIFICATION_TABLE)
# Those that hold documents, or what is left of them.
DOCUMENT_TABLES = (*TYPED_TABLES, ARCHIVE_TABLE, MISMATCH_TABLE)
# Those that whoever reads documents adds to: how many shadow reads there were.
NOTED_TABLES = (SHADOW_TABLE,)
KEPT_TABLES = (*DOCUMENT_TABLES, DEPARTURE_TABLE, SHADOW_TABLE)
PUBLIC = "PUBLIC"


def effective() -> str:
    """What roles may do to the column: (role, updates by a grant to itself, select, update).

    Of the roles `roles` as far as they exist, by whatever grant, and of those and PUBLIC to whom
    themselves UPDATE is granted; of no superuser but those named. `grantees` and `privileges` are
    those that were on the column when it was dropped.
    """
    users = f"{literal(names().users)}::regclass"
    return f"""WITH rights AS (
    SELECT a.grantee, a.privilege_type FROM pg_class c,
      aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a WHERE c.oid = {users}
    UNION SELECT a.grantee, a.privilege_type FROM pg_attribute t, aclexplode(t.attacl) a
    WHERE t.attrelid = {users} AND t.attname = {literal(BLOB_COLUMN)} AND NOT t.attisdropped
    UNION SELECT r.oid, g.privilege FROM unnest(%(grantees)s::text[], %(privileges)s::text[])
      g(grantee, privilege) JOIN pg_roles r ON r.rolname = g.grantee),
    own AS MATERIALIZED (SELECT DISTINCT grantee FROM rights WHERE privilege_type = 'UPDATE')
    SELECT r.rolname, EXISTS (SELECT FROM own WHERE grantee = r.oid) AND NOT r.rolsuper,
      r.rolsuper OR coalesce(bool_or(g.privilege_type = 'SELECT'), false),
      r.rolsuper OR coalesce(bool_or(g.privilege_type = 'UPDATE'), false)
    FROM pg_roles r LEFT JOIN rights g ON g.grantee = 0 OR pg_has_role(r.oid, g.grantee, 'USAGE')
    WHERE r.rolname = ANY(%(roles)s::text[])
    OR r.oid IN (SELECT grantee FROM own) AND NOT r.rolsuper
    GROUP BY r.oid, r.rolname, r.rolsuper
    UNION ALL
    SELECT {literal(PUBLIC)}, true, NULL, NULL FROM own WHERE grantee = 0 ORDER BY 1"""


def lacking() -> str:
    """What `roles` lack to use preferences: (role, statement that grants it).

    `reads` and `writes` say what each may do to the column. Without a statement: a role that
    writes, and could lock no user's row without the column, by UPDATE on any other.
    """
    n = names()
    users = literal(n.users)
    # What is read of each of waffle's tables.
    settings = {literal(n.switches): "active", literal(n.samples): "percent"}
    waffles = "\n    UNION ALL\n    ".join(
        f"""SELECT r, format('GRANT SELECT (name, {value}) ON %%s TO %%I', {table}, r)
    FROM role WHERE reads
    AND NOT (has_column_privilege(r, {table}, 'name', 'SELECT')
      AND has_column_privilege(r, {table}, '{value}', 'SELECT'))"""
        for table, value in settings.items()
    )
    schemas = ", ".join(f"{table}::regclass" for table in settings)
    tables, noted = (
        ", ".join(literal(qualified(table)) for table in some)
        for some in (TYPED_TABLES, NOTED_TABLES)
    )
    return f"""WITH role AS MATERIALIZED (SELECT * FROM unnest(
      %(roles)s::name[], %(reads)s::boolean[], %(writes)s::boolean[]) role(r, reads, writes))
    SELECT r, format('GRANT %%s ON %%s TO %%I', string_agg(p, ', ' ORDER BY o), t, r)
    FROM role, (SELECT t, false AS noted FROM unnest(ARRAY[{tables}]) t
        UNION ALL SELECT t, true FROM unnest(ARRAY[{noted}]) t) tables,
      unnest(CASE WHEN reads THEN ARRAY['SELECT'] ELSE '{{}}' END
        || CASE WHEN writes OR reads AND noted THEN ARRAY['INSERT', 'UPDATE'] ELSE '{{}}' END)
      WITH ORDINALITY p(p, o)
    WHERE NOT has_table_privilege(r, t, p) GROUP BY r, t
    UNION ALL
    {waffles}
    UNION ALL
    SELECT r, format('GRANT EXECUTE ON FUNCTION %%s TO %%I', f, r)
    FROM role, unnest(%(functions)s::text[]) f
    WHERE to_regprocedure(f) IS NOT NULL
    AND NOT has_function_privilege(r, to_regprocedure(f)::oid, 'EXECUTE')
    UNION ALL
    SELECT r, format('GRANT USAGE ON SCHEMA %%I TO %%I', s.nspname, r)
    FROM role, pg_namespace s
    WHERE s.oid IN (SELECT c.relnamespace FROM pg_class c
      WHERE c.oid IN ({schemas}, {literal(n.user_table)}::regclass))
    AND NOT has_schema_privilege(r, s.oid, 'USAGE')
    UNION ALL
    SELECT r, NULL FROM role WHERE writes AND NOT EXISTS (SELECT FROM pg_attribute a
      WHERE a.attrelid = {users}::regclass AND a.attnum > 0 AND NOT a.attisdropped
      AND a.attname <> {literal(BLOB_COLUMN)}
      AND has_column_privilege(r, a.attrelid, a.attnum, 'UPDATE'))"""


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


def definers() -> str:
    """Owners of the functions with these `signatures` who may not do what those do: (role, lack).

    Such a function runs with its owner's rights, for whoever writes users.
    """
    n = names()
    wants = [
        (n.users, "SELECT"),
        (n.switches, "SELECT"),
        *((n.samples, p) for p in ("SELECT", "UPDATE")),
        *((qualified(t), p) for t in TYPED_TABLES for p in ("SELECT", "INSERT", "UPDATE")),
        (qualified(DEPARTURE_TABLE), "INSERT"),
        (qualified(AUDIT_TABLE), "INSERT"),
        *((qualified(MISMATCH_TABLE), p) for p in ("SELECT", "INSERT", "UPDATE", "DELETE")),
    ]
    pairs = ", ".join(f"({literal(table)}, {literal(right)})" for table, right in wants)
    return f"""SELECT DISTINCT o.rolname, format('GRANT %%s ON %%s TO %%I', w.p, w.t, o.rolname)
    FROM unnest(%(signatures)s::text[]) s(signature)
    JOIN pg_proc f ON f.oid = to_regprocedure(s.signature)
    JOIN pg_roles o ON o.oid = f.proowner, (VALUES {pairs}) w(t, p)
    WHERE NOT has_table_privilege(o.oid, w.t, w.p) ORDER BY 1, 2"""

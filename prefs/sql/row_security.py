"""Row security: whom it hides rows from, and policies that follow that of the users table.

Where the users table has it, policies on the tables that hold documents ask for the user's row.
"""

from __future__ import annotations

from dataclasses import dataclass

from prefs.sql.names import literal, names, oids, qualified, quote
from prefs.sql.rights import DOCUMENT_TABLES, KEPT_TABLES, TYPED_TABLES


def _tables() -> str:
    """Users, and what holds documents or what is left of them."""
    return oids(names().users, *map(qualified, KEPT_TABLES))


def secured() -> str:
    """Whether any of these tables has row security; where none has, no row is hidden."""
    return f"SELECT EXISTS (SELECT FROM pg_class WHERE oid IN ({_tables()}) AND relrowsecurity)"


def hidden() -> str:
    """Whom row security hides rows from: (role, table), of this role and the definers.

    A superuser, a role with BYPASSRLS and the owner of a table without FORCE see every row;
    for all others a statement with row_security off is an error.
    """
    return f"""SELECT r.rolname, c.oid::regclass::text FROM pg_roles r, pg_class c
    WHERE c.oid IN ({_tables()}) AND c.relrowsecurity AND NOT r.rolsuper AND NOT r.rolbypassrls
    AND NOT (pg_has_role(r.oid, c.relowner, 'USAGE') AND NOT c.relforcerowsecurity)
    AND (r.rolname = current_user OR r.oid IN (SELECT p.proowner FROM
      unnest(%(signatures)s::text[]) s(signature)
      JOIN pg_proc p ON p.oid = to_regprocedure(s.signature))) ORDER BY 1, 2"""


def see() -> str:
    """(row_security as it was, `secured`); for this transaction it is off: hidden rows are errors.

    It is read before it is set: a CTE's row is there before what is made of it.
    """
    return f"""WITH was AS MATERIALIZED (SELECT current_setting('row_security') AS value)
    SELECT value, ({secured()}), set_config('row_security', 'off', true) FROM was"""


def see_as_before() -> str:
    """Set row_security back to `value`."""
    return "SELECT set_config('row_security', %(value)s, true)"


def row_security() -> str:
    """Row security of tables with documents, and of users under '', and each table's policies.

    (table, on, forced, name, permissive, command, to everybody, USING, CHECK); a table without a
    policy is one row, whose name is NULL.
    """
    tables = ", ".join(
        f"({literal(t)}, {literal(qualified(t))}::regclass)" for t in DOCUMENT_TABLES
    )
    return f"""SELECT t.name, c.relrowsecurity, c.relforcerowsecurity,
      polname, polpermissive, polcmd, polroles = '{{0}}',
      regexp_replace(pg_get_expr(polqual, polrelid), '[[:space:]]+', ' ', 'g'),
      regexp_replace(pg_get_expr(polwithcheck, polrelid), '[[:space:]]+', ' ', 'g')
    FROM (VALUES {tables}, ('', {literal(names().users)}::regclass)) t(name, id)
    JOIN pg_class c ON c.oid = t.id LEFT JOIN pg_policy p ON p.polrelid = t.id AND t.name <> ''
    ORDER BY t.name, polname"""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A policy of a table that follows the users table: who has the user has the row.

    For a write of documents the user's row is locked, as every write does first; so it asks for
    what the users table lets this role update, not only for what it shows.
    """

    name: str
    command: str
    table: str

    @property
    def asked(self) -> str:
        """Its condition, spaced and bracketed as the catalog prints it."""
        n, table = names(), quote(self.table)
        lock = " FOR NO KEY UPDATE OF u" if self.command != "SELECT" else ""
        return f"(EXISTS ( SELECT FROM {n.users} u WHERE (u.{n.key} = {table}.user_id){lock}))"

    @property
    def create(self) -> str:
        clause = "WITH CHECK" if self.command == "INSERT" else "USING"
        table = qualified(self.table)
        return f"CREATE POLICY {self.name} ON {table} FOR {self.command} {clause} {self.asked}"

    @property
    def drop(self) -> str:
        return f"DROP POLICY IF EXISTS {quote(self.name)} ON {qualified(self.table)}"

    def printed(self) -> tuple[str, str | None, str | None]:
        """(command, USING, CHECK) as the catalog has it, spaces and quotes aside."""
        if self.command == "INSERT":
            return "a", None, self.asked
        return "r" if self.command == "SELECT" else "w", self.asked, None


def policies_of(table: str) -> tuple[Policy, ...]:
    """The policies that a table has where users have row security; only typed ones are written."""
    commands = {"prefs_sees": "SELECT", "prefs_adds": "INSERT", "prefs_changes": "UPDATE"}
    chosen = tuple(commands) if table in TYPED_TABLES else ("prefs_sees",)
    return tuple(Policy(name=name, command=commands[name], table=table) for name in chosen)


def switch_row_security(table: str, *, on: bool, forced: bool) -> str:
    """The statement that turns the row security of a table on or off."""
    return (
        f"ALTER TABLE {qualified(table)} {'ENABLE' if on else 'DISABLE'} ROW LEVEL SECURITY,"
        f" {'FORCE' if forced else 'NO FORCE'} ROW LEVEL SECURITY"
    )

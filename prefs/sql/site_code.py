"""Code of the site's, in the database, that names the blob's column: a search in bodies.

PostgreSQL records what a view, or a function with an SQL-standard body, depends on, and
`catalog.dependents` asks for that. Of any other function it keeps the text alone. What puts its
statements together of strings is not found.
"""

from __future__ import annotations

import re

from prefs.mapping import BLOB_COLUMN
from prefs.sql import registry
from prefs.sql.names import literal, names
from prefs.sql.triggers import capture_triggers


def word(name: str) -> str:
    """A regular expression, as an SQL literal, for `name` where it is no part of a longer word."""
    return literal(rf"(?<![[:alnum:]_]){re.escape(name)}(?![[:alnum:]_])")


def _names_column(text: str) -> str:
    return f"{text} ~* {word(BLOB_COLUMN)}"


# What a trigger passes to its function; a zero byte ends each.
_ZERO = literal(r"\000")
_ARGUMENTS = f"replace(encode(t.tgargs, 'escape'), {_ZERO}, ' ')"


def _updates_users() -> str:
    """A regular expression, as an SQL literal, for an UPDATE of the users table."""
    table = re.escape(names().users.rsplit(".", 1)[-1].strip('"'))
    return literal(rf'update\s+(only\s+)?([^\s;]+\.)?"?{table}(?![[:alnum:]_])')


def _bodies() -> str:
    """Functions and procedures that are not PostgreSQL's nor ours: (oid, proname, prosrc).

    Materialized where their text is searched: PostgreSQL's own thousands would be searched too.
    """
    functions = (*registry.called(), *registry.fired())
    ours = ", ".join(map(literal, sorted(function.name for function in functions)))
    return f"""SELECT p.oid, p.proname, p.prosrc FROM pg_proc p
      JOIN pg_namespace s ON s.oid = p.pronamespace
      JOIN pg_language l ON l.oid = p.prolang
      WHERE s.nspname !~ '^pg_' AND s.nspname <> 'information_schema'
      AND l.lanname NOT IN ('c', 'internal')
      AND NOT (p.proname IN ({ours}) AND p.pronamespace = (SELECT c.relnamespace
        FROM pg_class c WHERE c.oid = {literal(names().user_table)}::regclass))"""


def naming_column() -> str:
    """What names the column or reads it with its whole row: (description).

    Functions and procedures, whoever calls them; triggers of users that are given it as an
    argument; views that read whole rows of users, on which PostgreSQL records no column.
    """
    users = literal(names().users)
    return f"""WITH bodies AS MATERIALIZED ({_bodies()})
    SELECT 'function ' || b.oid::regprocedure::text FROM bodies b
    WHERE {_names_column("b.prosrc")}
    UNION
    SELECT 'trigger ' || quote_ident(t.tgname) || ' of ' || t.tgrelid::regclass::text
      || ', by its arguments'
    FROM pg_trigger t WHERE t.tgrelid = {users}::regclass AND NOT t.tgisinternal
    AND {_names_column(_ARGUMENTS)}
    UNION
    SELECT 'view ' || r.ev_class::regclass::text || ', by whole rows'
    FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = {users}::regclass
    AND d.deptype = 'n' AND r.ev_class <> d.refobjid
    AND pg_get_viewdef(r.ev_class) ~ '[[:alnum:]_"][.][*]'
    ORDER BY 1"""


def site_triggers() -> str:
    """Enabled triggers of users, not ours, that may change the column: (name, function, why).

    Those whose function names the column or updates users, or calls by name what names it, and
    those that are given it as an argument.
    """
    own = ", ".join(literal(trigger.name) for trigger in capture_triggers())
    other, escaped = literal(r"\W"), literal(r"\\\&")
    called = f"""'(?<![[:alnum:]_])' || regexp_replace(n.proname, {other}, {escaped}, 'g')
      || '(?![[:alnum:]_])'"""
    return f"""WITH bodies AS MATERIALIZED ({_bodies()}),
    naming AS MATERIALIZED (SELECT * FROM bodies b WHERE {_names_column("b.prosrc")})
    SELECT f.tgname, f.tgfoid::regprocedure::text, f.why FROM (
      SELECT t.tgname, t.tgfoid, CASE
        WHEN {_names_column("b.prosrc")} THEN 'names the column'
        WHEN {_names_column(_ARGUMENTS)} THEN 'is given the column'
        WHEN b.prosrc ~* {_updates_users()} THEN 'updates the table'
        ELSE (SELECT 'calls ' || min(n.oid::regprocedure::text) || ', which names the column'
          FROM naming n WHERE b.prosrc ~* ({called})) END AS why
      FROM pg_trigger t LEFT JOIN bodies b ON b.oid = t.tgfoid
      WHERE t.tgrelid = {literal(names().users)}::regclass AND NOT t.tgisinternal
      AND t.tgenabled IN ('O', 'A') AND t.tgname NOT IN ({own})) f
    WHERE f.why IS NOT NULL ORDER BY f.tgname"""

"""What expand installs, as PostgreSQL's catalogs must print it and as they do."""

from __future__ import annotations

from functools import cache

from prefs.domains import Choice, ClockTime, Flag, Shape, WholeNumber
from prefs.mapping import RESIDUE_COLUMN, TOP_NAMES, TOPICS, USER_TABLE, Leaf, leaves_of
from prefs.sql.names import literal, names, qualified


def constraint_definition(leaf: Leaf) -> str | None:
    """The CHECK of a leaf as pg_get_constraintdef prints it; None where it needs none."""
    column, domain = leaf.column, leaf.domain
    match domain:
        case Flag():
            return None
        case Choice():
            values = ", ".join(f"{literal(value)}::text" for value in domain.values)
            return f"CHECK (({column} = ANY (ARRAY[{values}])))"
        case WholeNumber():
            return f"CHECK ((({column} >= {domain.minimum}) AND ({column} <= {domain.maximum})))"
        case Shape():
            pattern = f"{literal(domain.pattern)}::text"
            return f"CHECK ((({column} ~ {pattern}) AND (length({column}) <= {domain.max_length})))"
        case ClockTime():
            pattern = literal(domain.pattern.replace("$", ":00$"))
            return f"CHECK ((({column})::text ~ {pattern}::text))"


def foreign_key_name(table: str) -> str:
    """The name of a typed table's foreign key to users."""
    return f"{table}_user_id_fkey"


# Percent of a page of typed rows that a copy fills. A changed row then mostly stays on its page,
# which takes less WAL, and no entry in an index that does not depend on what was changed.
FILL_FACTOR = 90


def leave_room(table: str) -> str:
    """The statement that has pages of a new typed table filled that far."""
    return f"ALTER TABLE {qualified(table)} SET (fillfactor = {FILL_FACTOR})"


_VALID = "valid USING btree (user_id)"


def _index_condition(leaf: Leaf) -> str:
    """The predicate of a topic's index as pg_get_indexdef prints it."""
    if not leaf.wanted:
        return leaf.column
    values = ", ".join(f"{literal(value)}::text" for value in leaf.wanted)
    return f"({leaf.column} = ANY (ARRAY[{values}]))"


@cache
def expected_objects(table: str) -> dict[str, str]:
    """What must be in the database for one typed table: name -> definition.

    PostgreSQL prints quotes only where a name needs them: a key's definition goes without.
    """
    n = names()
    found = {
        "column user_id": f"{n.key_type} not null",
        f"constraint {table}_pkey": "PRIMARY KEY (user_id)",
        f"constraint {foreign_key_name(table)}": "FOREIGN KEY (user_id) REFERENCES"
        f" {n.users}({n.key}) ON UPDATE CASCADE ON DELETE CASCADE",
    }
    if table == USER_TABLE:
        found[f"column {RESIDUE_COLUMN}"] = "jsonb"
        keys = literal("{" + ",".join(TOP_NAMES) + "}")
        found["index prefs_quarantined"] = f"{_VALID} WHERE ({RESIDUE_COLUMN} ?| {keys}::text[])"
    for leaf in leaves_of(table):
        found[f"column {leaf.column}"] = leaf.domain.column_type
        definition = constraint_definition(leaf)
        if definition:
            found[f"constraint {table}_{leaf.column}_domain"] = definition
        if leaf in TOPICS.values():
            found[f"index prefs_{leaf.column}"] = f"{_VALID} WHERE {_index_condition(leaf)}"
    found[f"index {table}_pkey"] = _VALID
    return found


def actual_objects() -> str:
    """The same of the catalogs, for `tables`: (table, name, definition)."""
    return """WITH t AS MATERIALIZED (
      SELECT name, name::regclass AS id FROM unnest(%(tables)s::text[]) name)
    SELECT t.name, 'column ' || attname, format_type(atttypid, atttypmod)
      || CASE WHEN attnotnull THEN ' not null' ELSE '' END
    FROM t JOIN pg_attribute ON attrelid = t.id AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT t.name, 'constraint ' || conname, CASE contype
      WHEN 'f' THEN replace(pg_get_constraintdef(k.oid), '"', '')
      ELSE pg_get_constraintdef(k.oid) END
    FROM t JOIN pg_constraint k ON conrelid = t.id AND contype NOT IN ('n', 't')
    UNION ALL
    SELECT t.name, 'index ' || c.relname,
      CASE WHEN i.indisvalid AND i.indisready THEN 'valid' ELSE 'invalid' END
      || substring(pg_get_indexdef(c.oid) from ' USING .*')
    FROM t JOIN pg_index i ON i.indrelid = t.id JOIN pg_class c ON c.oid = i.indexrelid
    UNION ALL
    -- Those of the foreign key, which stand on both tables, are internal: they must be enabled.
    SELECT t.name, 'trigger ' || tgname,
      CASE WHEN tgenabled = 'O' THEN pg_get_triggerdef(g.oid) ELSE 'not enabled' END
    FROM t JOIN pg_trigger g ON tgrelid = t.id AND NOT tgisinternal
      AND NOT starts_with(tgname, 'prefs_')
      OR t.id IN (tgrelid, tgconstrrelid) AND tgisinternal AND tgenabled <> 'O'"""


def plainly() -> str:
    """Have the catalogs print every name qualified, and quoted only where it must be."""
    return """SELECT set_config('search_path', 'pg_catalog', true),
    set_config('quote_all_identifiers', 'off', true)"""


def installed_triggers() -> str:
    """Triggers of ours, or named like ours, on `tables`: (table, name, definition, enabled)."""
    return """SELECT replace(t.tgrelid::regclass::text, '"', ''), t.tgname,
      replace(pg_get_triggerdef(t.oid, true), '"', ''), t.tgenabled IN ('O', 'A')
    FROM pg_trigger t
    WHERE NOT t.tgisinternal AND starts_with(t.tgname, 'prefs_')
    AND t.tgrelid = ANY(%(tables)s::text[]::regclass[])"""


@cache
def functions() -> str:
    """Functions of ours, and beside them: (name, signature, body, traits, anybody's).

    Those with these `signatures`, as they are given, where the body of one that is missing is
    NULL; and those that are named like one of `names` and have other arguments, which are left
    from a time when the key of users was of another type. `anybody's` says whether PUBLIC may
    call it.
    """
    return f"""WITH ours AS MATERIALIZED (SELECT signature, to_regprocedure(signature)::oid AS id
      FROM unnest(%(signatures)s::text[]) signature)
    SELECT p.proname, o.signature, p.prosrc, concat_ws(' ',
        CASE p.provolatile WHEN 'i' THEN 'IMMUTABLE' WHEN 's' THEN 'STABLE' ELSE 'VOLATILE' END,
        CASE WHEN p.proisstrict THEN 'STRICT' END,
        CASE WHEN p.prosecdef THEN 'SECURITY DEFINER' END,
        CASE p.proparallel WHEN 's' THEN 'PARALLEL SAFE' WHEN 'r' THEN 'PARALLEL RESTRICTED' END,
        (SELECT string_agg('SET ' || replace(c, '=', ' = '), ' ') FROM unnest(p.proconfig) c)),
      EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        WHERE a.grantee = 0)
    FROM ours o LEFT JOIN pg_proc p ON p.oid = o.id
    UNION ALL
    SELECT p.proname, format('%%I.%%I(%%s)', p.pronamespace::regnamespace, p.proname,
      pg_get_function_identity_arguments(p.oid)), NULL, NULL, NULL
    FROM pg_proc p WHERE p.proname = ANY(%(names)s::text[])
    AND p.pronamespace = (SELECT relnamespace FROM pg_class
      WHERE oid = {literal(names().user_table)}::regclass)
    AND p.oid NOT IN (SELECT id FROM ours WHERE id IS NOT NULL)"""

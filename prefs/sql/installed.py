"""What expand installs, as PostgreSQL's catalogs must print it and as they do."""

from __future__ import annotations

from functools import cache

from prefs.mapping import (
    RESIDUE_COLUMN,
    TOPICS,
    USER_TABLE,
    Choice,
    ClockTime,
    Flag,
    Leaf,
    Shape,
    WholeNumber,
    leaves_of,
)
from prefs.sql.expressions import literal
from prefs.sql.names import names, quote


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


_COLUMN_TYPES = {
    Flag: "boolean",
    Choice: "text",
    Shape: "text",
    WholeNumber: "integer",
    ClockTime: "time without time zone",
}


def foreign_key_name(table: str) -> str:
    """The name of a typed table's foreign key to users."""
    return f"{table}_user_id_fkey"


# Percent of a page of typed rows that a copy fills. A changed row then mostly stays on its page,
# which takes less WAL, and no entry in an index that does not depend on what was changed.
FILL_FACTOR = 90


def leave_room(table: str) -> str:
    """The statement that has pages of a new typed table filled that far."""
    return f"ALTER TABLE {quote(table)} SET (fillfactor = {FILL_FACTOR})"


_VALID = "valid USING btree (user_id)"


def _index_condition(leaf: Leaf) -> str:
    """The predicate of a topic's index as pg_get_indexdef prints it."""
    if not leaf.wanted:
        return leaf.column
    values = ", ".join(f"{literal(value)}::text" for value in leaf.wanted)
    return f"({leaf.column} = ANY (ARRAY[{values}]))"


@cache
def expected_objects(table: str) -> dict[str, str]:
    """What must be in the database for one typed table: name -> definition."""
    n = names()
    # PostgreSQL prints quotes only where a name needs them; both sides go without.
    users, key = n.users.replace('"', ""), n.key.replace('"', "")
    found = {
        "column user_id": f"{n.key_type} not null",
        f"constraint {table}_pkey": "PRIMARY KEY (user_id)",
        f"constraint {foreign_key_name(table)}": f"FOREIGN KEY (user_id) REFERENCES {users}({key})"
        " ON UPDATE CASCADE ON DELETE CASCADE",
    }
    if table == USER_TABLE:
        found[f"column {RESIDUE_COLUMN}"] = "jsonb"
    for leaf in leaves_of(table):
        found[f"column {leaf.column}"] = _COLUMN_TYPES[type(leaf.domain)]
        definition = constraint_definition(leaf)
        if definition:
            found[f"constraint {table}_{leaf.column}_domain"] = definition
        if leaf in TOPICS.values():
            found[f"index prefs_{leaf.column}"] = f"{_VALID} WHERE {_index_condition(leaf)}"
    found[f"index {table}_pkey"] = _VALID
    return found


def actual_objects() -> str:
    """The same of the catalogs, for `table`: (name, definition)."""
    return """SELECT 'column ' || attname, format_type(atttypid, atttypmod)
      || CASE WHEN attnotnull THEN ' not null' ELSE '' END
    FROM pg_attribute WHERE attrelid = %(table)s::regclass AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT 'constraint ' || conname, CASE contype
      WHEN 'f' THEN replace(pg_get_constraintdef(oid), '"', '') ELSE pg_get_constraintdef(oid) END
    FROM pg_constraint
    WHERE conrelid = %(table)s::regclass AND contype NOT IN ('n', 't')
    UNION ALL
    SELECT 'index ' || c.relname,
      CASE WHEN i.indisvalid AND i.indisready THEN 'valid' ELSE 'invalid' END
      || substring(pg_get_indexdef(c.oid) from ' USING .*')
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = %(table)s::regclass
    UNION ALL
    -- Those of the foreign key, which stand on both tables, are internal: they must be enabled.
    SELECT 'trigger ' || tgname,
      CASE WHEN tgenabled = 'O' THEN pg_get_triggerdef(oid) ELSE 'not enabled' END
    FROM pg_trigger WHERE tgrelid = %(table)s::regclass AND NOT tgisinternal
    AND NOT starts_with(tgname, 'prefs_')
    OR %(table)s::regclass IN (tgrelid, tgconstrrelid) AND tgisinternal AND tgenabled <> 'O'"""


def plain_printing() -> str:
    """Have the catalogs printed, in this transaction, as `expected_objects` has them."""
    return "SET LOCAL quote_all_identifiers = off"


def installed_triggers() -> str:
    """Triggers of ours, or named like ours, on `tables`: (table, name, definition, enabled)."""
    return """SELECT c.relname, t.tgname, replace(pg_get_triggerdef(t.oid, true), '"', ''),
      t.tgenabled IN ('O', 'A')
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND starts_with(t.tgname, 'prefs_')
    AND t.tgrelid = ANY(%(tables)s::text[]::regclass[])"""


# How a function is run, as its CREATE says it. Temporary schemas must come last in its path.
FUNCTION_TRAITS = {
    "IMMUTABLE": "provolatile = 'i'",
    "STABLE": "provolatile = 's'",
    "SECURITY DEFINER": "prosecdef",
    "SET plan_cache_mode": "'plan_cache_mode=force_generic_plan' = ANY (proconfig)",
    "SET search_path": "EXISTS (SELECT FROM unnest(proconfig) c"
    " WHERE starts_with(c, 'search_path=') AND right(c, 9) = ', pg_temp')",
}


def function_bodies() -> str:
    """The functions named `names`: (name, body, its traits)."""
    traits = ", ".join(f"CASE WHEN {so} THEN {literal(t)} END" for t, so in FUNCTION_TRAITS.items())
    return f"""SELECT proname, prosrc, array_remove(ARRAY[{traits}], NULL)
    FROM pg_proc WHERE proname = ANY(%(names)s::text[])"""

"""What makes a database one whose tables tests may empty (see prefs.testing)."""

from __future__ import annotations

from prefs.mapping import BLOB_COLUMN
from prefs.routing import SWITCHES
from prefs.sql.catalog import allow_turning
from prefs.sql.names import literal, names, qualified, quote
from prefs.sql.trigger_functions import TEST_DATABASE, TURNING

_PUT_BACK = "test_database_switches"


def prepare() -> tuple[str, ...]:
    """Keep both switches as they are in a table that no flush knows, and put them back from it.

    That table is also what the guards look for before they let a TRUNCATE through.
    """
    n = names()
    ours = ", ".join(map(literal, SWITCHES))
    return (
        f"CREATE TABLE IF NOT EXISTS {qualified(TEST_DATABASE)} AS"
        f" SELECT * FROM {n.switches} WHERE name IN ({ours})",
        f"""CREATE OR REPLACE FUNCTION {qualified(_PUT_BACK)}() RETURNS trigger
LANGUAGE plpgsql AS $function$
BEGIN
  {allow_turning().replace("SELECT", "PERFORM", 1)};
  INSERT INTO {n.switches} SELECT * FROM {qualified(TEST_DATABASE)};
  {end_turning().replace("SELECT", "PERFORM", 1)};
  RETURN NULL;
END
$function$""",
        f"CREATE OR REPLACE TRIGGER {_PUT_BACK} AFTER TRUNCATE ON {n.switches}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION {qualified(_PUT_BACK)}()",
    )


def end_turning() -> str:
    """From here on this transaction turns no switches."""
    return f"SELECT set_config('{TURNING}', '', true)"


def kept_switches() -> str:
    """The names of the switches that are kept."""
    return f"SELECT name FROM {qualified(TEST_DATABASE)}"


def put_back() -> tuple[str, ...]:
    """Turn the switches to what is kept: tests that were killed leave them as they were."""
    return (
        allow_turning(),
        f"INSERT INTO {names().switches} SELECT * FROM {qualified(TEST_DATABASE)}"
        " ON CONFLICT (name) DO UPDATE SET active = excluded.active",
        end_turning(),
    )


def set_switch() -> str:
    """Set the switch `name` to `active`; the row of one that was taken away comes back."""
    return f"""INSERT INTO {names().switches} (name, active, note, created, modified)
    VALUES (%(name)s, %(active)s, '', now(), now())
    ON CONFLICT (name) DO UPDATE SET active = excluded.active"""


def add_column(*, null: bool) -> str:
    """The column as the site's own migrations would have made it."""
    n = names()
    kind = "jsonb DEFAULT '{}'::jsonb" + ("" if null else " NOT NULL")
    return f"ALTER TABLE {n.users} ADD COLUMN IF NOT EXISTS {quote(BLOB_COLUMN)} {kind}"

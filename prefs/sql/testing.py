"""What makes a database one whose tables tests may empty (see prefs.testing)."""

from __future__ import annotations

from collections.abc import Iterable

from prefs.mapping import BLOB_COLUMN
from prefs.routing import SAMPLES, SWITCHES
from prefs.sql.catalog import allow_turning
from prefs.sql.names import literal, names, qualified, quote
from prefs.sql.trigger_functions import TEST_DATABASE, TURNING

_TEST_SAMPLES = "prefs_test_samples"


def prepare() -> tuple[str, ...]:
    """Keep switches and samples as they are in tables that no flush knows, and put them back.

    That of the switches is also what the guards look for before they let a TRUNCATE through.
    """
    n = names()
    return (
        *_keep(n.switches, SWITCHES, TEST_DATABASE, "test_database_switches"),
        *_keep(n.samples, SAMPLES, _TEST_SAMPLES, "test_database_samples"),
    )


def _keep(table: str, ours: Iterable[str], kept: str, put_back: str) -> tuple[str, ...]:
    listed = ", ".join(map(literal, ours))
    return (
        f"CREATE TABLE IF NOT EXISTS {qualified(kept)} AS"
        f" SELECT * FROM {table} WHERE name IN ({listed})",
        f"""CREATE OR REPLACE FUNCTION {qualified(put_back)}() RETURNS trigger
LANGUAGE plpgsql AS $function$
BEGIN
  {allow_turning().replace("SELECT", "PERFORM", 1)};
  INSERT INTO {table} SELECT * FROM {qualified(kept)};
  {end_turning().replace("SELECT", "PERFORM", 1)};
  RETURN NULL;
END
$function$""",
        f"CREATE OR REPLACE TRIGGER {put_back} AFTER TRUNCATE ON {table}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION {qualified(put_back)}()",
    )


def end_turning() -> str:
    """From here on this transaction turns no switches."""
    return f"SELECT set_config('{TURNING}', '', true)"


def kept_switches() -> str:
    """The names of the switches that are kept."""
    return f"SELECT name FROM {qualified(TEST_DATABASE)}"


def put_back() -> tuple[str, ...]:
    """Turn switches and samples to what is kept: tests that were killed leave them as they were."""
    return (
        allow_turning(),
        f"INSERT INTO {names().switches} SELECT * FROM {qualified(TEST_DATABASE)}"
        " ON CONFLICT (name) DO UPDATE SET active = excluded.active",
        f"INSERT INTO {names().samples} SELECT * FROM {qualified(_TEST_SAMPLES)}"
        " ON CONFLICT (name) DO UPDATE SET percent = excluded.percent",
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

"""The managers' large statements as functions: parsed and planned once a session, not once a call.

Planning them takes several times as long as running them. A prepared statement of the client's
would do as much, but not behind a pooler that hands out a session for each transaction. The
plan is the generic one at once: everything is looked up by key, so no other can be better.
"""

from __future__ import annotations

import re

from prefs.routing import Route
from prefs.sql import documents
from prefs.sql.documents import MERGE, READ, REPLACE, writer
from prefs.sql.names import names


def signatures() -> dict[str, str]:
    """The functions by name, with the types of their arguments."""
    key = names().key_type
    writers = [writer(route, incoming) for route in Route for incoming in (REPLACE, MERGE)]
    return {READ: f"{key}[]"} | dict.fromkeys(writers, f"{key}, text, text[], integer")


def functions() -> dict[str, str]:
    """The functions by name, with the statements that create them."""
    key = names().key_type
    made = {
        READ: _function(
            READ,
            documents.reading(),
            {"ids": f"{key}[]"},
            f"key {key}, dual_write boolean, read_tables boolean, body text, printable boolean",
        )
    }
    for route in Route:
        for incoming in (REPLACE, MERGE):
            name = writer(route, incoming)
            made[name] = _function(
                name,
                documents.writing(route, incoming),
                {"user": key, "input": "text", "unknown": "text[]", "max_bytes": "integer"},
                "body text, refused text, size integer, written boolean",
            )
    return made


def _function(name: str, statement: str, parameters: dict[str, str], returns: str) -> str:
    """A VOLATILE function, so that its statement has a snapshot of its own, after the lock."""
    numbered = {parameter: f"${number}" for number, parameter in enumerate(parameters, 1)}
    body = re.sub(r"%\((\w+)\)s", lambda found: numbered[found[1]], statement)
    return f"""
CREATE OR REPLACE FUNCTION {name}({", ".join(parameters.values())}) RETURNS TABLE ({returns})
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $function$
#variable_conflict use_column
BEGIN
  RETURN QUERY {body.replace("%%", "%")};
END
$function$
""".strip()

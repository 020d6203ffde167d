"""The large statements as functions: parsed and planned once a session, not once a call.

Planning one of the managers' takes several times as long as running it; planning a batch's, as
long as copying a hundred users. A prepared statement of the client's would do as much, but not
behind a pooler that hands out a session for each transaction. The plan is the generic one at
once: everything is looked up by key or by a range of keys, whose values call for no other.
"""

from __future__ import annotations

import re

from prefs.routing import Route
from prefs.sql import copying, documents
from prefs.sql.copying import COPY, DIFFERENCE
from prefs.sql.documents import MERGE, READ, REPLACE, writer
from prefs.sql.names import names


def signatures() -> dict[str, str]:
    """The functions by name, with the types of their arguments."""
    key = names().key_type
    writers = [writer(route, incoming) for route in Route for incoming in (REPLACE, MERGE)]
    found = {READ: f"{key}[]"} | dict.fromkeys(writers, f"{key}, text, text[], integer")
    return found | dict.fromkeys((COPY, DIFFERENCE), f"{key}, {key}")


def functions() -> dict[str, str]:
    """The functions by name, with the statements that create them."""
    key = names().key_type
    answers = {
        READ: f"key {key}, dual_write boolean, read_tables boolean, body text, printable boolean",
        COPY: "user_rows bigint, notification_rows bigint, dual_write boolean, read_tables boolean",
        DIFFERENCE: f"key {key}",
    }
    written = "body text, refused text, size integer, written boolean"
    return {
        name: f"""
CREATE OR REPLACE FUNCTION {name}({arguments}) RETURNS TABLE ({answers.get(name, written)})
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $function$
#variable_conflict use_column
BEGIN
{_body(name)}
END
$function$
""".strip()
        for name, arguments in signatures().items()
    }


def _body(name: str) -> str:
    """Its statement, or two of which one does the work, each with a snapshot of its own."""
    if name == READ:
        return _query(documents.reading(), "ids")
    if name in (COPY, DIFFERENCE):
        statement = copying.copying_missing if name == COPY else copying.differing
        first, later = (_query(statement(first=f), "after", "upto") for f in (True, False))
        return f"IF $1 IS NULL THEN\n{first}\nELSE\n{later}\nEND IF;"
    [(route, incoming)] = [
        (route, incoming)
        for route in Route
        for incoming in (REPLACE, MERGE)
        if writer(route, incoming) == name
    ]
    given = ("user", "input", "unknown", "max_bytes")
    any_user = _query(documents.writing(route, incoming), *given)
    if not route.reads_tables:
        return any_user
    with_rows = _query(documents.writing(route, incoming, there=True), *given)
    return f"{with_rows}\n  IF NOT FOUND THEN\n{any_user}\n  END IF;"


def _query(statement: str, *parameters: str) -> str:
    return f"  RETURN QUERY {numbered(statement, *parameters)};"


def numbered(statement: str, *parameters: str) -> str:
    """A statement of ours as the server has it: `parameters` by their numbers, no `%` doubled."""
    numbers = {name: f"${number}" for number, name in enumerate(parameters, 1)}
    body = re.sub(r"%\((\w+)\)s", lambda found: numbers[found[1]], statement)
    return body.replace("%%", "%")

"""The large statements as functions: parsed and planned once a session, not once a call.

Planning one of the managers' takes several times as long as running it; planning a batch's, as
long as copying a hundred users. A prepared statement of the client's would do as much, but not
behind a pooler that hands out a session for each transaction. The plan is the generic one at
once: everything is looked up by key or by a range of keys, whose values call for no other.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from prefs.mapping import NOTIFICATION_TABLE, USER_TABLE
from prefs.routing import Route
from prefs.sql import changes, copying, documents, shadow, writes
from prefs.sql.expressions import same
from prefs.sql.functions import DOCUMENT_TEXT, NOT_STORED
from prefs.sql.names import names, qualified
from prefs.sql.stored import StoredFunction


def functions() -> dict[str, StoredFunction]:
    """All of them, by name. In VOLATILE code each statement has a snapshot of its own."""
    key = names().key_type
    switches = "dual_write boolean, read_tables boolean"
    read = f"TABLE (key {key}, {switches}, body text, is_compared boolean)"
    copied = f"TABLE (user_rows bigint, notification_rows bigint, {switches})"
    written = "TABLE (body text, refused text, size integer, written boolean)"
    bounds = f"{key}, {key}"
    of_one, locked = documents.reading_document(), documents.reading_locked_document()
    one = numbered(documents.reading_one())
    copy, differing = _by_range(copying.copying_missing), _by_range(copying.differing)
    mismatches = f"TABLE (key {key}, leaves text[], blob text, tables text, failed text)"
    # It waits for locks by a bound of its own, and hides why it fails.
    bounded = "STABLE SET lock_timeout = 0"
    comparing = _function(
        shadow.COMPARE, f"{key}[], integer", mismatches, shadow.comparing(), volatility=bounded
    )
    found = [
        replace(comparing, kept=True),
        _function(documents.READ, f"{key}[]", read, _query(documents.reading(), "ids")),
        _function(documents.READ_ONE, key, read, one, volatility="STABLE"),
        _function(documents.DOCUMENT, key, "text", numbered(of_one), volatility="STABLE STRICT"),
        _function(documents.DOCUMENT_LOCKED, f"{key}, text", "text", numbered(locked)),
        _function(copying.COPY, bounds, copied, copy, everybody=True),
        _function(copying.DIFFERENCE, bounds, f"TABLE (key {key})", differing, everybody=True),
    ]
    for route in Route:
        changed = f"TABLE (key {key}, body text)"
        name = changes.changer(route)
        found.append(_function(name, f"{key}[], text[]", changed, _changing(route)))
        for incoming in (writes.REPLACE, writes.MERGE):
            name, body = writes.writer(route, incoming), _writing(route, incoming)
            found.append(_function(name, f"{key}, text, text[], integer", written, body))
    return {function.name: function for function in found}


def _function(
    name: str,
    takes: str,
    returns: str,
    body: str,
    *,
    everybody: bool = False,
    volatility: str = "VOLATILE",
) -> StoredFunction:
    """One of them; over `everybody` it is an error if row security hides some of the users."""
    sight = " SET row_security = off" if everybody else ""
    return StoredFunction(
        name=name,
        takes=takes,
        returns=returns,
        traits=f"{volatility} SET plan_cache_mode = force_generic_plan{sight}",
        body=f"#variable_conflict use_column\nBEGIN\n{body}\nEND",
    )


def _by_range(statement: Callable[..., str]) -> str:
    first, later = (_query(statement(first=each), "after", "upto") for each in (True, False))
    return f"  IF $1 IS NULL THEN\n{first}\n  ELSE\n{later}\n  END IF;"


def _writing(route: Route, incoming: str) -> str:
    """The first that answers: each but the last is for the more usual users and patches."""
    statements = [writes.writing(route, incoming)]
    if route.reads_tables:
        statements.insert(0, writes.writing(route, incoming, there=True))
    if route is Route.TABLES and incoming == writes.MERGE:
        statements.insert(0, writes.patching())
    given = ("user", "input", "unknown", "max_bytes")
    if not route.reads_tables:
        return _answering_what_is_stored(numbered(statements[0], *given))
    queries = [_query(each, *given) for each in statements]
    if route is Route.TABLES:
        queries[-1] = _locking_rows() + queries[-1]
    return "\n  IF FOUND THEN RETURN; END IF;\n".join(queries)


def _locking_rows(users: str = "ARRAY[$1]") -> str:
    locks = (numbered(writes.lock_rows(table), "ids") for table in (USER_TABLE, NOTIFICATION_TABLE))
    return "".join(
        f"  PERFORM {lock.removeprefix('SELECT ').replace('$1', users)};\n" for lock in locks
    )


def _changing(route: Route) -> str:
    query = _query(changes.changing(route), "users", "changes")
    return _locking_rows("$1") + query if route is Route.TABLES else query


def _answering_what_is_stored(statement: str) -> str:
    """The writing statement, and then the blob as its triggers left it, those of the site too.

    It is printed only where it is not the one that was sent.
    """
    stored = numbered(writes.stored_blob(), "user")
    return f"""  DECLARE
    sent jsonb;
    stored jsonb;
  BEGIN
    {statement} INTO body, refused, size, written, sent;
    IF NOT FOUND THEN RETURN; END IF;
    IF written THEN
      {stored} INTO stored;
      IF NOT FOUND THEN
        written := {qualified(NOT_STORED)}($1::text);
      ELSIF NOT {same("stored", "sent")} THEN
        body := {qualified(DOCUMENT_TEXT)}(stored);
      END IF;
    END IF;
    RETURN NEXT;
  END;"""


def _query(statement: str, *parameters: str) -> str:
    return f"  RETURN QUERY {numbered(statement, *parameters)};"


def numbered(statement: str, *parameters: str) -> str:
    """A statement of ours as the server has it: `parameters` by their numbers, no `%` doubled."""
    numbers = {name: f"${number}" for number, name in enumerate(parameters, 1)}
    body = re.sub(r"%\((\w+)\)s", lambda found: numbers[found[1]], statement)
    return body.replace("%%", "%")

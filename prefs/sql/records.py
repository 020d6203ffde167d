"""The one statement of the audit."""

from __future__ import annotations

from prefs.sql.names import AUDIT_TABLE, qualified


def add_entry() -> str:
    """Add an entry; the session (role, address) and the moment are the database's own."""
    return f"""INSERT INTO {qualified(AUDIT_TABLE)}
      (event, subject, reason, actor, host, program, session, figures, recorded_at)
    VALUES (%(event)s, %(subject)s, %(reason)s, %(actor)s, %(host)s, %(program)s,
      session_user || '@' || coalesce(host(inet_client_addr()), 'local'),
      %(figures)s::jsonb, clock_timestamp())"""

"""What each gate asks the database, now, and the way to meet it.

A condition decides nothing else. Figures are stored with the transition they let through.
"""

from __future__ import annotations

from collections.abc import Callable

from prefs.engine.conditions import column, evidence, installation, server, sessions
from prefs.engine.findings import Finding, Inquiry
from prefs.engine.states import Gate

CONDITIONS: dict[Gate, Callable[[Inquiry], Finding]] = {
    Gate.TABLES_INTACT: installation.tables_intact,
    Gate.TRIGGERS_INTACT: installation.triggers_intact,
    Gate.SUPPORTED_TABLES: installation.supported_tables,
    Gate.RIGHTS: installation.rights,
    Gate.SEES_EVERYBODY: installation.sees_everybody,
    Gate.READ_COMMITTED: server.read_committed,
    Gate.DURABLE_COMMITS: server.durable_commits,
    Gate.NO_LOGICAL_APPLY: server.no_logical_apply,
    Gate.SITE_TRIGGERS: column.site_triggers,
    Gate.VERIFIED: evidence.verified,
    Gate.VERIFIED_SINCE_MIRROR: evidence.verified_since_mirror,
    Gate.CUTOVER_SOAK: evidence.cutover_soak,
    Gate.CONTRACT_SOAK: evidence.contract_soak,
    Gate.NO_PREVIOUS_RELEASE: sessions.no_previous_release,
    Gate.NO_UNKNOWN_SESSION: sessions.no_unknown_session,
    Gate.NOTHING_DEPENDS: column.nothing_depends,
    Gate.NO_CODE_NAMES_COLUMN: column.no_code_names_column,
    Gate.ARCHIVE_FITS: column.archive_fits,
    Gate.COLUMN_EXISTS: column.column_exists,
    Gate.NO_USERS: column.no_users,
}

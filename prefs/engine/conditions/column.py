"""Gates on the column: that it is there, that nobody needs it, that it can be kept."""

from __future__ import annotations

from prefs.engine import catalogs
from prefs.engine.findings import Finding, Inquiry, none_of
from prefs.engine.repair import count_users
from prefs.engine.sight import rows_of_everybody
from prefs.engine.states import Gate
from prefs.mapping import BLOB_COLUMN
from prefs.sql import archive, catalog, site_code

# Users whose blobs are looked at to predict the archive's size.
_SAMPLED = 20_000
_SHOWN = 10


def nothing_depends(inquiry: Inquiry) -> Finding:
    """Nothing that is served stale values once the column stands still, or that the drop breaks."""
    dependents = [row[0] for row in catalogs.rows(inquiry.alias, catalog.dependents())]
    return none_of(
        Gate.NOTHING_DEPENDS,
        dependents,
        "nothing but its default and indexes",
        f"Change or drop what depends on the column {BLOB_COLUMN}; nothing is dropped by CASCADE.",
    )


def no_code_names_column(inquiry: Inquiry) -> Finding:
    """No function's body names the column, as far as a search of bodies can tell."""
    naming = [row[0] for row in catalogs.rows(inquiry.alias, site_code.naming_column())]
    return none_of(
        Gate.NO_CODE_NAMES_COLUMN,
        _first(naming),
        f"no code in the database names {BLOB_COLUMN}",
        f"From now on the column {BLOB_COLUMN} is not written: have that code read the"
        " tables. If it means another column of that name, override the gate.",
        found=len(naming),
    )


def site_triggers(inquiry: Inquiry) -> Finding:
    """No trigger of the site's changes the column, as far as a search of bodies can tell."""
    found = [
        f"{name} ({function} {why})"
        for name, function, why in catalogs.rows(inquiry.alias, site_code.site_triggers())
    ]
    return none_of(
        Gate.SITE_TRIGGERS,
        _first(found),
        "no trigger of the users table is known to change the column",
        f"Once the tables are read, a trigger that changes {BLOB_COLUMN} makes writes fail,"
        " and later it is not fired by them: disable it, or move what it does into the"
        " application. If it leaves the column as it is, override the gate.",
        found=len(found),
    )


def _first(found: list[str]) -> list[str]:
    """The first of what was found, and how many more there are."""
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return found[:_SHOWN] + more


def archive_fits(inquiry: Inquiry) -> Finding:
    """The archive, as predicted from a sample, is within its limit."""
    limit = inquiry.settings.archive_max_bytes
    users = count_users(inquiry.alias)
    percent = min(100.0, 100.0 * _SAMPLED / max(1, users))
    sample = {"users": users, "percent": percent}
    [(predicted,)] = rows_of_everybody(inquiry.alias, archive.predicted_bytes(), **sample)
    return Finding(
        gate=Gate.ARCHIVE_FITS,
        met=predicted <= limit,
        found=f"an archive of about {predicted:,} bytes; at most {limit:,} are allowed",
        remedy="Make room, and raise PREFS_ARCHIVE_MAX_BYTES.",
        figures={"predicted_bytes": predicted, "limit_bytes": limit},
    )


def column_exists(inquiry: Inquiry) -> Finding:
    """The column is there."""
    [(_, _, exists)] = catalogs.rows(inquiry.alias, catalog.state())
    return Finding(
        gate=Gate.COLUMN_EXISTS,
        met=exists,
        found=f"the column {BLOB_COLUMN} {'exists' if exists else 'is gone'}",
        remedy="Run `manage.py rollback_prefs --to mirror_off`, which restores it.",
    )


def no_users(inquiry: Inquiry) -> Finding:
    """There is nobody to move."""
    [(count,)] = rows_of_everybody(inquiry.alias, catalog.users_up_to(), limit=1)
    return Finding(
        gate=Gate.NO_USERS,
        met=count == 0,
        found="there are users" if count else "there is no user",
        remedy="Take the transitions one at a time: `manage.py advance_prefs`.",
    )

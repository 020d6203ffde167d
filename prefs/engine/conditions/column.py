"""Gates on the column: that it is there, that nobody needs it, that it can be kept."""

from __future__ import annotations

from prefs.engine.findings import Finding, Inquiry
from prefs.engine.repair import count_users
from prefs.engine.states import Gate
from prefs.mapping import BLOB_COLUMN
from prefs.sql import archive, catalog

# Users whose blobs are looked at to predict the archive's size.
_SAMPLED = 20_000


def nothing_depends(inquiry: Inquiry) -> Finding:
    """Nothing that the drop would break depends on the column."""
    dependents = [row[0] for row in inquiry.rows(catalog.dependents())]
    return Finding(
        gate=Gate.NOTHING_DEPENDS,
        met=not dependents,
        found="; ".join(dependents) or "nothing but its default and indexes",
        remedy=f"Change or drop what depends on the column {BLOB_COLUMN}; nothing is dropped"
        " by CASCADE.",
    )


def archive_fits(inquiry: Inquiry) -> Finding:
    """The archive, as predicted from a sample, is within its limit."""
    limit = inquiry.settings.archive_max_bytes
    users = count_users(inquiry.alias)
    percent = min(100.0, 100.0 * _SAMPLED / max(1, users))
    [(predicted,)] = inquiry.everybody(archive.predicted_bytes(), users=users, percent=percent)
    return Finding(
        gate=Gate.ARCHIVE_FITS,
        met=predicted <= limit,
        found=f"an archive of about {predicted:,} bytes; at most {limit:,} are allowed",
        remedy="Make room, and raise PREFS_ARCHIVE_MAX_BYTES.",
        figures={"predicted_bytes": predicted, "limit_bytes": limit},
    )


def column_exists(inquiry: Inquiry) -> Finding:
    """The column is there."""
    [(_, _, exists)] = inquiry.rows(catalog.state())
    return Finding(
        gate=Gate.COLUMN_EXISTS,
        met=exists,
        found=f"the column {BLOB_COLUMN} {'exists' if exists else 'is gone'}",
        remedy="Run `manage.py rollback_prefs --to mirror_off`, which restores it.",
    )


def no_users(inquiry: Inquiry) -> Finding:
    """There is nobody to move."""
    [(count,)] = inquiry.everybody(catalog.users_up_to(), limit=1)
    return Finding(
        gate=Gate.NO_USERS,
        met=count == 0,
        found="there are users" if count else "there is no user",
        remedy="Take the transitions one at a time: `manage.py advance_prefs`.",
    )

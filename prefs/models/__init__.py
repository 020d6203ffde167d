"""The two typed tables, and the records of runs, of transitions, of the audit, of the archive."""

from prefs.models.history import (
    AcceptedQuarantine,
    ArchiveDeparture,
    ArchivedPreferences,
    AuditEntry,
    RecordedRehearsal,
    Transition,
)
from prefs.models.permissions import Migration
from prefs.models.preferences import NotificationPreferences, UserPreferences
from prefs.models.runs import Lease, Range, Run
from prefs.models.shadow import Mismatch, ShadowReads

__all__ = [
    "AcceptedQuarantine",
    "ArchiveDeparture",
    "ArchivedPreferences",
    "AuditEntry",
    "Lease",
    "Migration",
    "Mismatch",
    "NotificationPreferences",
    "Range",
    "RecordedRehearsal",
    "Run",
    "ShadowReads",
    "Transition",
    "UserPreferences",
]

"""A rehearsal put on record in the site's own database, as evidence for its plan."""

from __future__ import annotations

from django.db import connections, transaction

from prefs import VERSION
from prefs.engine import audit
from prefs.engine.evidence import database_now
from prefs.errors import PrefsError
from prefs.mapping import fingerprint
from prefs.models import RecordedRehearsal
from prefs.rehearsal.report import Report


def must_be_recordable(alias: str) -> None:
    """Raise PrefsError where a rehearsal could not be put on record, before one is made."""
    tables = connections[alias].introspection.table_names()
    if RecordedRehearsal._meta.db_table not in tables:
        raise PrefsError(
            f"The database {alias!r} has no table {RecordedRehearsal._meta.db_table} to record a"
            " rehearsal in. Run `manage.py migrate` first, or rehearse without --record."
        )


def record(report: Report, alias: str) -> RecordedRehearsal:
    """Store a report, whatever its verdict, with the release and the mapping it is of."""
    with transaction.atomic(using=alias):
        made = RecordedRehearsal.objects.using(alias).create(
            **described(report),
            actor=audit.signature_here().actor,
            recorded_at=database_now(alias),
        )
        figures = {"rehearsal": made.pk, "clean": made.is_clean, "users": report.users}
        audit.record(alias, audit.Event.REHEARSAL, str(made), **figures)
    return made


def described(report: Report) -> dict[str, object]:
    """What a record says of a report: its verdict and figures, the release, the mapping."""
    return {
        "version": VERSION,
        "fingerprint": fingerprint(),
        "is_clean": report.clean,
        "figures": report.figures(),
    }

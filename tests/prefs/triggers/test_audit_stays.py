"""The audit is only ever added to."""

from __future__ import annotations

import pytest
from django.utils import timezone

from prefs.models import AuditEntry
from tests.prefs.triggers.raw import refused
from tests.support.stores import query

STATEMENTS = {
    "UPDATE": "UPDATE prefs_audit SET actor = 'somebody else'",
    "DELETE": "DELETE FROM prefs_audit",
    "TRUNCATE": "TRUNCATE prefs_audit",
}


def add(subject: str) -> AuditEntry:
    return AuditEntry.objects.create(
        event=AuditEntry.Event.REFUSAL,
        subject=subject,
        actor="tester",
        host="here",
        program="a test",
        session="1",
        recorded_at=timezone.now(),
    )


@pytest.mark.parametrize("name", STATEMENTS)
def test_an_entry_stays_as_it_was_written(site: str, name: str) -> None:
    add("one")
    entries = "SELECT id, actor, xmin::text FROM prefs_audit ORDER BY id"
    before = query(entries)
    with refused(f"{name} of prefs_audit is refused: the audit is only ever added to"):
        query(STATEMENTS[name])
    assert query(entries) == before
    add("two")
    assert len(query(entries)) == len(before) + 1


def test_the_orm_is_refused_as_well(site: str) -> None:
    entry = add("one")
    with refused("UPDATE of prefs_audit is refused"):
        entry.save()
    with refused("DELETE of prefs_audit is refused"):
        AuditEntry.objects.all().delete()
    assert AuditEntry.objects.filter(pk=entry.pk).exists()

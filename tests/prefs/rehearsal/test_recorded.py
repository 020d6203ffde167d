"""rehearse_prefs --record puts the report into the site's own database, as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from prefs.engine.states import State
from prefs.errors import PrefsError
from prefs.models import AuditEntry, RecordedRehearsal
from prefs.rehearsal import recorded
from tests.prefs.rehearsal.test_report import CLEAN
from tests.support.databases import copies, site
from tests.support.running import run
from tests.support.steps import ALIAS, go, rows

__all__ = ["copies", "site"]


@pytest.mark.parametrize("lost", [[], ["user 1"]], ids=["clean", "not clean"])
def test_a_report_is_on_record_with_its_verdict(site: str, lost: list[str]) -> None:
    report = replace(CLEAN, lost=lost)
    made = recorded.record(report, ALIAS)
    found = RecordedRehearsal.objects.get()
    assert (found.pk, found.is_clean) == (made.pk, not lost)
    assert found.figures == report.figures()
    assert found.fingerprint == recorded.described(report)["fingerprint"]
    entry = AuditEntry.objects.get(event="rehearsal")
    assert entry.figures == {"rehearsal": made.pk, "clean": not lost, "users": 10}
    assert (entry.actor, entry.recorded_at <= found.recorded_at) == (found.actor, False)


def test_without_its_table_nothing_is_rehearsed(site: str) -> None:
    rows("DROP TABLE prefs_rehearsal")
    with pytest.raises(PrefsError, match="no table prefs_rehearsal to record a rehearsal in"):
        recorded.must_be_recordable(ALIAS)
    outcome = run("rehearse_prefs", "--users", "400", "--record", "--noinput")
    assert outcome.status == 1
    assert "Run `manage.py migrate` first, or rehearse without --record." in outcome.err


@pytest.mark.parametrize("name", ["plan.pdf", "nowhere/plan.md"])
def test_a_plan_that_could_not_be_written_is_refused_first(
    site: str, tmp_path: Path, name: str
) -> None:
    outcome = run("rehearse_prefs", "--users", "400", "--noinput", "--plan", str(tmp_path / name))
    assert outcome.status == 2
    assert "expected a file that ends in .txt, .md, .html, in a folder" in outcome.err


def test_a_rehearsal_on_record_does_not_go_unasked_with_migrate_zero(site: str) -> None:
    recorded.record(CLEAN, ALIAS)
    outcome = run("migrate", "prefs", "zero")
    assert outcome.status == 4
    assert "pg_dump -t prefs_audit -t prefs_transition -t prefs_rehearsal" in outcome.err
    assert RecordedRehearsal.objects.exists()


def test_a_record_of_another_site_is_not_loaded(site: str, tmp_path: Path) -> None:
    recorded.record(CLEAN, ALIAS)
    file = tmp_path / "record.json"
    run("dumpdata", "prefs.recordedrehearsal", "--output", str(file), "-v", "0")
    go(State.DUAL_WRITE)
    outcome = run("loaddata", str(file))
    assert (outcome.status, RecordedRehearsal.objects.count()) == (4, 1)

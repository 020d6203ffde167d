"""The row locks of ranges: who takes one over passes by one that is being taken, waiting for none.

Under its token nothing is done twice without them either; but a range would be taken from whoever
has just taken it, and what it did could be counted for nobody.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.transaction import atomic

from prefs.models import Range, Run
from prefs.sql import ranges as sql
from prefs.sql.places import placed
from tests.support import scratch
from tests.support.scratch import Session
from tests.support.steps import in_thread, until, waiting_for_locks

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(minutes=5)


def run_with_ranges(count: int) -> tuple[Run, list[Range]]:
    """A run whose ranges nobody holds any more, of three users each."""
    run = Run.objects.create(
        kind=Run.Kind.BACKFILL,
        phase=Run.Phase.COPY,
        started_at=NOW,
        phase_began_at=NOW,
        lease_until=NOW,
    )
    made = [Range(run=run, upto=str(n), users=3, lease_until=NOW) for n in range(count)]
    return run, Range.objects.bulk_create(made)


def take_over(session: Session, run: Run, holder: str) -> Any:
    given = {"run": run.pk, "holder": holder, "lease": LEASE}
    found = session.execute(placed(sql.take_over(), connection).encode(), given).fetchone()
    return None if found is None else found[0]


def test_two_who_take_over_at_once_get_two_ranges_and_a_third_gets_none(site: str) -> None:
    run, made = run_with_ranges(2)
    with scratch.connect(site) as first, scratch.connect(site) as second:
        for session in (first, second):
            session.execute("BEGIN")
            session.execute("SET LOCAL lock_timeout = '50ms'")
        assert take_over(first, run, "first") == made[0].pk
        assert take_over(second, run, "second") == made[1].pk
        assert take_over(first, run, "first") is None


def test_who_lost_a_range_while_leaving_it_counts_nothing_and_takes_nothing_back(
    site: str,
) -> None:
    run, [taken] = run_with_ranges(1)

    def leave() -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql.release(), {"id": taken.pk, "token": taken.token})

    with scratch.connect(site) as other:
        other.execute("BEGIN")
        assert take_over(other, run, "another") == taken.pk
        leaving = in_thread(leave)
        until(lambda: waiting_for_locks() == 1)
        other.execute("COMMIT")
    leaving.result(10)
    run.refresh_from_db()
    taken.refresh_from_db()
    assert (run.users, taken.users, taken.holder, taken.token) == (0, 3, "another", 2)
    assert taken.lease_until is not None
    assert taken.lease_until > NOW


def test_who_leaves_a_range_counts_what_they_did_once(site: str) -> None:
    run, [taken] = run_with_ranges(1)
    for _ in range(2):
        with atomic(), connection.cursor() as cursor:
            cursor.execute(sql.release(), {"id": taken.pk, "token": taken.token})
    run.refresh_from_db()
    taken.refresh_from_db()
    assert (run.users, taken.users, taken.lease_until) == (3, 0, None)

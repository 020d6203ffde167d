"""Orders: what an operator tells a run from a second terminal, heard within a batch."""

from __future__ import annotations

from django.db import transaction

from prefs.engine.ranges import held, open_run
from prefs.errors import PrefsError
from prefs.models import Range, Run


def order(
    kind: Run.Kind,
    alias: str,
    *,
    paused: bool | None = None,
    stopping: bool | None = None,
    max_rate: int | None = None,
    target_ms: int | None = None,
) -> tuple[Run, list[Range]]:
    """Give the open run of `kind` an order; returns it with the ranges that workers are on.

    `max_rate` is in users a second, 0 for no limit. To stop a run that nobody is on changes
    nothing. Raises PrefsError where none is open. Locks the row of the run for a moment.
    """
    given = {"paused": paused, "stopping": stopping, "max_rate": max_rate, "target_ms": target_ms}
    with transaction.atomic(using=alias, durable=True):
        run = open_run(kind, alias, lock=True)
        if run is None:
            raise PrefsError(f"No {kind.label} run is open, so there is none to give an order to.")
        working = held(run, alias)
        for name, value in given.items():
            if value is not None and (working or name != "stopping"):
                setattr(run, name, value)
        run.save(using=alias, update_fields=list(given))
    return run, working

"""Commands in processes of their own, slowed down so that a test meets them at work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth import get_user_model

from prefs.clock import Clock
from prefs.engine import ranges
from prefs.models import Range, Run
from tests.support import scratch
from tests.support.forked import Process
from tests.support.steps import ALIAS, differences, until, value

# Ten batches a second.
SLOW = ("--batch-size", "5", "--max-rate", "50")


def copied() -> int:
    """How many users have typed rows."""
    found: int = value("SELECT count(*) FROM user_preferences")
    return found


def counted(counter: str = "users") -> int:
    """A counter of the newest run, with those of its ranges, all at one moment."""
    found: int = value(
        f"SELECT r.{counter} + (SELECT coalesce(sum(h.{counter}), 0)::bigint FROM prefs_range h"
        " WHERE h.run_id = r.id) FROM prefs_run r ORDER BY r.id DESC LIMIT 1"
    )
    return found


def under_way() -> bool:
    """Whether a batch of a run that goes on has been committed."""
    return Run.objects.filter(status="running").exists() and counted() > 0


@contextmanager
def running(site: str, *arguments: str, **settings: object) -> Iterator[Process]:
    """A command that has committed a batch, and goes on."""
    with scratch.start(scratch.environment(site, **settings), *arguments) as process:
        try:
            until(lambda: under_way() or process.poll() is not None, 20)
            assert process.poll() is None, process.communicate()
            yield process
        finally:
            process.kill()


def at_work() -> int:
    """How many ranges are in somebody's hand."""
    found: int = value("SELECT count(*) FROM prefs_range WHERE lease_until > clock_timestamp()")
    return found


def cut_up(users: int) -> None:
    """A copy whose users were handed out, so many in a range, to workers that have gone."""
    run = ranges.join(Run.Kind.BACKFILL, Run.Phase.COPY, ALIAS, since=None)
    ids = get_user_model()._default_manager.order_by("pk").values_list("pk", flat=True)
    cursor = None
    for upto in dict.fromkeys(map(str, [*ids[users - 1 :: users], ids.last()])):
        Range.objects.create(run=run, cursor=cursor, upto=upto, holder="gone")
        cursor = upto
    Run.objects.update(cursor=cursor)


def ended(process: Process, seconds: float = 30) -> tuple[int, str, str]:
    """How a process ends by itself: its status, and what it wrote."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def is_exact(users: int) -> bool:
    """Whether the one run has counted each user once, and every one is as they should be."""
    done = Run.objects.get()
    figures = (done.status, done.users, done.copied, copied(), Range.objects.count())
    return figures == ("done", users, users, users, 0) and differences() == []


def stands_still() -> bool:
    """Whether nobody is copied for half a second."""
    before = copied()
    Clock().sleep(0.5)
    return copied() == before

"""A backfill that is killed before each of its statements in turn, and run again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from django.db import connection

from prefs.engine.states import State
from prefs.models import Run
from tests.prefs.interleavings.scene import Mirror, Scene
from tests.prefs.interleavings.world import START, look
from tests.support.steps import run_once
from tests.support.stores import query


class Killed(Exception):
    """What ends it."""


@contextmanager
def _killed_before(number: int) -> Iterator[list[str]]:
    """Kill what runs inside before its statement of this number; yields those it came to."""
    statements: list[str] = []

    def run(execute: Any, sql: str, *rest: Any) -> Any:
        statements.append(sql)
        if len(statements) == number:
            raise Killed
        return execute(sql, *rest)

    with connection.execute_wrapper(run):
        yield statements


@dataclass(kw_only=True)
class Kills:
    """How often it was killed, and what was wrong after the last of them."""

    kills: int = 0
    wrong: Sequence[str] = ()

    def __str__(self) -> str:
        return f"{self.kills} kills; {'; '.join(self.wrong) or 'nothing wrong'}"


def killed_at_every_statement() -> Kills:
    """Kill and resume a copy of all users at every statement, until one ends wrongly."""
    scene, found = Scene(State.EXPANDED, Mirror.MISSING), Kills()
    scene.prepare()
    while not found.wrong:
        scene.make()
        with _killed_before(found.kills + 1) as statements, suppress(Killed):
            run_once(batch_size=1)
        if len(statements) <= found.kills:
            break
        found.kills += 1
        query("UPDATE prefs_range SET lease_until = now() WHERE lease_until IS NOT NULL")
        found.wrong = _wrong(run_once(batch_size=1))
    return found


def _wrong(run: Run) -> list[str]:
    """What a backfill of all users, killed once, did not do, or did not count."""
    wrong = [f"user {key} was not copied" for key in look().rowless]
    # Killed after its end, it is another run that finds nothing left to copy.
    copied = sum(Run.objects.values_list("copied", flat=True))
    if (run.users, copied) != (len(START), len(START)):
        wrong.append(f"it counted {run.users} users, {copied} copied")
    return wrong

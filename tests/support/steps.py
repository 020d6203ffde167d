"""What tests of the engine do over and over: people, transitions, sessions, threads."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.db import connection, connections, transaction

from prefs.clock import Clock
from prefs.conf import Settings
from prefs.engine.audit import Signature, acting_as
from prefs.engine.backfill import backfill
from prefs.engine.batches import Control, Progress
from prefs.engine.repair import Direction
from prefs.engine.states import EDGES, State, current_state
from prefs.engine.transitions import take_transition
from prefs.engine.verification import verify
from prefs.models import Run, Transition, UserPreferences
from prefs.sql import copying
from tests.support.tampering import tamper

T = TypeVar("T")
ALIAS = "default"
SOON = Settings(
    cutover_soak=timedelta(0),
    contract_soak=timedelta(0),
    lock_patience=timedelta(seconds=1),
    ddl_lock_timeout=timedelta(milliseconds=50),
)
TESTER = Signature(actor="tester", reason="a test")
ORDER = list(State)


class FakeClock(Clock):
    """Time that passes only by sleeping, so that hours of waiting take none."""

    def __init__(self) -> None:
        self.slept = 0.0

    def now(self) -> float:
        return self.slept

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


def rows(statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """All rows of a statement, on Django's connection."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return cursor.fetchall() if cursor.description else []


def value(statement: str, *parameters: Any) -> Any:
    """The one value of a statement."""
    [(found,)] = rows(statement, *parameters)
    return found


def add_users(*documents: Any) -> list[int]:
    """Users with these blobs; None is SQL NULL, a str is JSON text. Returns their keys."""
    texts = [d if d is None or isinstance(d, str) else json.dumps(d) for d in documents]
    start = value("SELECT count(*) FROM accounts_user")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_user (password, is_superuser, username, first_name, last_name,"
            " email, is_staff, is_active, date_joined, preferences)"
            " SELECT '', false, 'u' || (%s + n), '', '', '', false, true, now(), d::jsonb"
            " FROM unnest(%s::text[]) WITH ORDINALITY t(d, n) RETURNING id",
            [start, texts],
        )
        return [row[0] for row in cursor.fetchall()]


def many_users(count: int) -> list[int]:
    """So many users, each with a blob of their own."""
    return add_users(*({"theme": "dark", "items_per_page": 1 + n % 500} for n in range(count)))


def set_blob(user: int, document: Any) -> None:
    """Write the column as raw SQL would."""
    text = document if document is None else json.dumps(document)
    rows("UPDATE accounts_user SET preferences = %s::jsonb WHERE id = %s", text, user)


def part_blob(user: int, document: Any) -> None:
    """Write the column past the triggers, so that the two stores differ."""
    text = document if document is None else json.dumps(document)
    tamper("UPDATE accounts_user SET preferences = %s::jsonb WHERE id = %s", text, user)


def blob_texts() -> list[str | None]:
    """Every blob as text, in key order."""
    return [text for (text,) in rows("SELECT preferences::text FROM accounts_user ORDER BY id")]


def document_texts() -> list[str | None]:
    """Every document as clients see it, in key order."""
    ids = get_user_model()._default_manager.order_by("pk").values_list("pk", flat=True)
    return [UserPreferences.objects.document_text(key) for key in ids]


def differences() -> list[int]:
    """The keys of all users whose stores differ."""
    ids = list(get_user_model()._default_manager.values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(copying.difference_of(), {"ids": ids})
        return [row[0] for row in cursor.fetchall()]


def state() -> State:
    return current_state(ALIAS)


def copy_all() -> Run:
    """A whole backfill."""
    return backfill(ALIAS, Direction.FORWARD, SOON, Control())


def run_once(direction: Direction = Direction.FORWARD, **control: Any) -> Run:
    """A backfill with such a control."""
    return backfill(ALIAS, direction, SOON, Control(**control))


def stops_after(batches: int, batch_size: int = 1) -> Control:
    """An operator who stops a run after so many batches; by its clock they take no time."""
    done: list[Progress] = []

    def told(progress: Progress) -> None:
        if not progress.note:
            done.append(progress)

    return Control(
        batch_size=batch_size,
        clock=FakeClock(),
        progress=told,
        stopped=lambda: len(done) >= batches,
    )


def counters(run: Run) -> tuple[int, ...]:
    """How much a run did: users, copied, differing, repaired, batches."""
    return run.users, run.copied, run.differing, run.repaired, run.batches


def verify_all(**options: Any) -> Run:
    """A whole verification."""
    return verify(ALIAS, SOON, Control(), **options)


def take(
    target: State | None,
    settings: Settings = SOON,
    control: Control | None = None,
    *,
    forward: bool = True,
) -> Transition | None:
    """One transition."""
    with acting_as(TESTER):
        return take_transition(ALIAS, target, settings, control or Control(), forward=forward)


def go(target: State) -> None:
    """Walk to a state through every transition on the way, meeting its gates."""
    while (here := state()) is not target:
        forward = ORDER.index(target) > ORDER.index(here)
        step = ORDER[ORDER.index(here) + (1 if forward else -1)]
        if here is State.DUAL_WRITE and forward:
            copy_all()
        if here in (State.DUAL_WRITE, State.READ_CUTOVER) and step is not State.EXPANDED:
            verify_all(repair=True)
            verify_all()
        taken = take(step, forward=forward)
        assert taken is not None
        assert taken.settled_at is not None


def edges_of(state_: State) -> list[State]:
    """The states that can be reached from one, in the order of the table."""
    return [edge.target for edge in EDGES if edge.source is state_]


def patient(seconds: float) -> Settings:
    """SOON, waiting for locks so long."""
    return replace(SOON, lock_patience=timedelta(seconds=seconds))


def in_thread(work: Callable[[], T]) -> Future[T]:
    """Run `work` in a thread with connections of its own, closed when it ends."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is awaited
            connections.close_all()
            future.set_exception(error)
        else:
            connections.close_all()
            future.set_result(result)

    threading.Thread(target=run, daemon=True).start()
    return future


@contextmanager
def held_open(work: Callable[[], object]) -> Iterator[None]:
    """Do `work` in another session's transaction, which commits when the block ends."""
    done, release = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            work()
            done.set()
            assert release.wait(30)

    future = in_thread(hold)
    try:
        while not done.wait(0.01):
            assert not future.done(), future.exception()
        yield
    finally:
        release.set()
        future.result(30)


def waiting_for_locks(of_kind: str = "TRUE") -> int:
    """How many locks sessions of this database wait for; other tests run in others.

    `of_kind` is a condition on a row of pg_locks.
    """
    # In a transaction the view of sessions stays as it was when it was first looked at.
    rows("SELECT pg_stat_clear_snapshot()")
    found: int = value(
        "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        f" WHERE a.datname = current_database() AND NOT l.granted AND {of_kind}"
    )
    return found


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for something that another thread or process is about to do."""
    clock = Clock()
    deadline = clock.now() + seconds
    while not condition():
        assert clock.now() < deadline, "waited in vain"
        clock.sleep(0.005)

"""Situations between processes of both releases, step by step, with real locks."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from prefs.engine.audit import acting_as
from prefs.engine.batches import Control
from prefs.engine.states import Gate, State
from prefs.engine.transitions import take_transition
from prefs.models import Transition
from tests.previous_release.conftest import Releases
from tests.previous_release.documents import name
from tests.previous_release.traffic import PreviousClient, Record
from tests.support import scratch
from tests.support.steps import ALIAS, SOON, TESTER, copy_all, in_thread, until, verify_all
from tests.support.stores import query
from tests.support.tampering import turn

THEIRS = {"theirs": 1, "items_per_page": 25}
OURS = {"ours": 1, "theme": "dark", "notifications": {"email": {"digest": "daily"}}}
_WAITING = """SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
  AND wait_event_type = 'Lock' AND application_name = %s)"""
_UNCHECKED = replace(TESTER, overrides=frozenset({Gate.TRIGGERS_INTACT}))


def new_user(both: Releases) -> int:
    """A user with the empty document."""
    return int(both.previous.ask("add", writer="create", username=name(), document={}))


def await_lock(application: str, begun: Future[Any]) -> None:
    """Wait until what was begun waits for a lock, in a process of that name."""
    until(lambda: begun.done() or query(_WAITING, [application]) == [(True,)])
    assert not begun.done()


def to_cutover() -> None:
    """The way to the read cutover, whatever the triggers are like by now."""
    for target in (State.DUAL_WRITE, State.READ_CUTOVER):
        with acting_as(_UNCHECKED):
            take_transition(ALIAS, target, SOON, Control(), forward=True)
        if target is State.DUAL_WRITE:
            copy_all()
            assert verify_all().differing == 0


def first_lost(both: Releases, writes: int = 60) -> list[str]:
    """What a client of the previous release misses first, where this one reads after it."""
    client = PreviousClient([new_user(both)], "items_per_page", (10, 10.0, 25, 25.0))
    client.writer, client.reader = both.previous, both.current
    while client.record.writes < writes and not client.found_lost:
        client.write_and_read()
    return client.found_lost


def lost_after_waiting_through_the_cutover(both: Releases) -> list[str]:
    """A write of the previous release begins before all flips, and gets its lock after them."""
    turn(State.EXPANDED.route)
    user, record = new_user(both), Record()
    with scratch.connect(both.database) as session:
        session.execute("BEGIN")
        session.execute("SELECT FROM accounts_user WHERE id = %s FOR NO KEY UPDATE", [user])
        write = in_thread(
            lambda: both.previous.ask("change", writer="update", user=user, document=THEIRS)
        )
        await_lock("shop", write)
        to_cutover()
        session.execute("COMMIT")
    write.result(30)
    record.wrote(user, THEIRS)
    return record.lost(both.current, user)


def lost_in_an_open_transaction(both: Releases, *, drained: bool) -> list[str]:
    """A transaction of the previous release writes before all flips, and commits late.

    After them; or, where flips are drained, once the first of them waits for it.
    """
    turn(State.EXPANDED.route)
    user, record = new_user(both), Record()
    with both.previous.transaction():
        both.previous.ask("change", writer="save", user=user, document=THEIRS)
        migration = in_thread(to_cutover)
        if drained:
            until(lambda: Transition.objects.filter(settled_at=None).exists())
            threading.Event().wait(0.15)
            assert not migration.done()
        else:
            migration.result(30)
    migration.result(30)
    record.wrote(user, THEIRS)
    return record.lost(both.current, user)


def merged_while_a_switch_is_turned(both: Releases, before: State, after: State) -> int:
    """A merge of OURS reads the route of before, and writes when the triggers see the other."""
    turn(before.route)
    user = new_user(both)
    with both.previous.transaction():
        both.previous.ask("lock", user=user)
        merge = in_thread(lambda: both.current.ask("merge", user=user, patch=OURS))
        await_lock("prefs", merge)
        turn(after.route)
    merge.result(30)
    return user

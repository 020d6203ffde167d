"""Users join, leave and change keys while everything runs: no error, and nothing left behind."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from prefs.engine.states import State
from prefs.models import Transition
from tests.support import forked, scratch
from tests.support.steps import add_users, differences, many_users, rows, state, value

SOON = {"cutover_soak": 0.0, "contract_soak": 0.0, "lock_patience": 20.0}
WORKERS = 2
FORWARD = ("advance_prefs", "backfill_prefs", "verify_prefs", "advance_prefs")
ROUND = (
    *FORWARD,
    "verify_prefs",
    "advance_prefs",
    "rollback_prefs",
    "backfill_prefs --reverse",
    "verify_prefs --repair",
    "verify_prefs",
    "rollback_prefs",
    "rollback_prefs",
)
ORPHANS = " UNION ALL ".join(
    f"SELECT user_id FROM {table} WHERE user_id NOT IN (SELECT id FROM accounts_user)"
    for table in ("user_preferences", "notification_preferences")
)


@contextmanager
def people(site: str) -> Iterator[Counter[str]]:
    """People who come and go while the block runs; what they did, once it has ended."""
    module = ("-m", "tests.prefs.commands.coming_and_going")
    environ = scratch.environment(site)
    started = [
        forked.start(environ, *module, str(seed), str(WORKERS), stdin=True)
        for seed in range(WORKERS)
    ]
    done: Counter[str] = Counter()
    try:
        yield done
        for process in started:
            out, err = process.communicate("stop", timeout=30)
            assert (process.returncode, err) == (0, "")
            done.update(json.loads(out))
    finally:
        for process in started:
            process.kill()
            process.communicate()


def manage(site: str, command: str) -> None:
    done = scratch.manage(scratch.environment(site, **SOON), *command.split())
    assert done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"


def test_while_everything_runs_there_and_back(site: str) -> None:
    many_users(3_000)
    with people(site) as done:
        for command in ROUND:
            manage(site, command)
    assert state() is State.EXPANDED
    for kind in ("delete_some", "delete_one", "change_keys", "join", "join_raw", "write"):
        assert done[kind] > 5, done
    assert 20 * done["delete_some"] + done["delete_one"] > 1_000, done
    assert rows(ORPHANS) == []
    assert not Transition.objects.filter(settled_at=None).exists()
    for command in FORWARD[:3]:
        manage(site, command)
    assert differences() == []
    assert value("SELECT count(*) FROM accounts_user") == value(
        "SELECT count(*) FROM user_preferences"
    )


def test_a_row_that_its_user_left_behind_would_be_noticed(site: str) -> None:
    [user] = add_users({"theme": "dark"})
    manage(site, "backfill_prefs")
    rows("ALTER TABLE user_preferences DROP CONSTRAINT user_preferences_user_id_fkey")
    rows("DELETE FROM accounts_user")
    assert rows(ORPHANS) == [(user,)]

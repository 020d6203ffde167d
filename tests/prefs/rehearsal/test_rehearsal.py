"""A whole rehearsal with real client processes: it passes, and a saboteur makes it fail."""

import json
import os
import secrets
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from prefs import conf
from prefs.engine.batches import Control
from prefs.engine.gates import GateRefused
from prefs.engine.states import State
from prefs.rehearsal import conductor
from prefs.rehearsal.conductor import Interrupted, Options, Rehearsal, rehearse
from prefs.rehearsal.report import Report
from prefs.rehearsal.scratch import ALIAS
from prefs.rehearsal.traffic import ClientFailed
from prefs.sql import copying
from prefs.sql.names import names

pytestmark = pytest.mark.slow
SMALL = Options(users=400, clients=2)


@pytest.fixture(autouse=True)
def short_holds(
    monkeypatch: pytest.MonkeyPatch, django_db_setup: None, django_db_blocker: Any
) -> Iterator[None]:
    """Each state stands for a moment only. A rehearsal has a database of its own."""
    monkeypatch.setattr(conductor, "_HOLD", 0.4)
    with django_db_blocker.unblock():
        yield
        connections["default"].close()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the names of the databases of this test's rehearsals end with; others have theirs."""
    usual, tokens = secrets.token_hex, list[str]()

    def token_hex(size: int) -> str:
        tokens.append(usual(size))
        return tokens[-1]

    monkeypatch.setattr("prefs.rehearsal.scratch.secrets.token_hex", token_hex)
    return tokens


def left_of(made: list[str]) -> list[str]:
    """Those of the databases that are still there."""
    assert made
    with connections["default"].cursor() as cursor:
        ends = [f"%{token}" for token in made]
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE ANY(%s)", [ends])
        return [row[0] for row in cursor.fetchall()]


def _before_the_end(monkeypatch: pytest.MonkeyPatch, act: Callable[[Rehearsal], None]) -> None:
    """Have `act` done after all transitions, with the clients still running."""
    back = Rehearsal.back

    def sabotaged(self: Rehearsal) -> None:
        back(self)
        act(self)

    monkeypatch.setattr(Rehearsal, "back", sabotaged)


def _execute(statement: str, *parameters: Any) -> None:
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(statement, parameters or None)


def _run() -> Report:
    return rehearse(SMALL, conf.current(), Control())


def test_the_command_rehearses_everything_and_leaves_nothing_behind(
    capsys: pytest.CaptureFixture[str], made: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "plan.md"
    options: dict[str, Any] = {"json": True, "interactive": False, "plan": file}
    call_command("rehearse_prefs", users=400, clients=2, **options)
    assert file.read_text().startswith("# Implementation plan: ")
    figures = json.loads(capsys.readouterr().out)
    assert figures["clean"] is True
    zero = ("failed_requests", "lost_writes", "mismatches", "blobs_changed")
    assert [figures[name] for name in zero] == [0, 0, 0, 0]
    assert figures["users"] == 400
    assert figures["requests"] > 100
    assert [phase["name"] for phase in figures["phases"]] == [
        "expanded",
        "dual_write",
        "read_cutover",
        "mirror_off",
        "dropped",
        "back to mirror_off",
        "back to read_cutover",
        "back to dual_write",
        "back to expanded",
    ]
    assert all(phase["requests"] > 0 for phase in figures["phases"])
    assert left_of(made) == []
    assert ALIAS not in connections.databases
    plan = figures["plan"]
    assert plan["state"] == "dropped"
    unmet = [each["key"] for task in plan["tasks"] for each in task["criteria"] if not each["met"]]
    assert unmet == ["monitored"]
    assert [each["met"] for each in plan["success"]] == [True] * 4
    assert [each["state"] for each in plan["timeline"]] == list(map(str, State))
    said = [note["what"] for note in plan["log"]]
    assert said[-1] == "clean rehearsal 1 recorded"
    assert "rolled back from `dual_write` to `expanded`" in said
    # The first one is that of `migrate`, which copies so few users itself.
    assert {"backfill run 2 interrupted", "backfill run 2 resumed"} <= set(said)


def test_acknowledged_writes_that_vanish_are_counted_as_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    n = names()

    def steal(rehearsal: Rehearsal) -> None:
        _execute(
            f"UPDATE {n.users} SET {n.blob} = {n.blob} - 'rehearsal' WHERE {n.blob} ? 'rehearsal'"
        )

    _before_the_end(monkeypatch, steal)
    report = _run()
    assert report.lost
    assert not report.clean


def test_a_changed_blob_of_a_user_nobody_wrote_to_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    n = names()

    def scratch(rehearsal: Rehearsal) -> None:
        _execute(
            f"UPDATE {n.users} SET {n.blob} = '1.0' WHERE {n.key} = (SELECT max({n.key})"
            f" FROM {n.users} WHERE NOT {n.key}::text = ANY(%s))",
            rehearsal.traffic.written,
        )

    _before_the_end(monkeypatch, scratch)
    report = _run()
    assert report.blobs_changed == 1
    assert report.lost == []
    assert not report.clean


def test_requests_that_fail_are_counted_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def cripple(rehearsal: Rehearsal) -> None:
        _execute("ALTER FUNCTION prefs_document_text(jsonb) RENAME TO gone")
        rehearsal.wait(0.5)
        _execute("ALTER FUNCTION gone(jsonb) RENAME TO prefs_document_text")

    _before_the_end(monkeypatch, cripple)
    report = _run()
    assert report.failed_requests > 0
    assert not report.clean
    assert any("prefs_document_text" in line for line in report.lines())


def test_a_copy_that_copies_nothing_is_stopped_by_the_gate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(copying, "overwrite_tables", lambda: "SELECT %(ids)s")
    statement = copying.copying_missing(first=True).replace(
        "AND (p.user_id IS NULL", "AND FALSE AND (p.user_id IS NULL"
    )
    monkeypatch.setattr(copying, "copy_missing", lambda: statement)
    with pytest.raises(GateRefused, match="users whose stores differ"):
        _run()
    assert ALIAS not in connections.databases


def test_a_client_that_dies_ends_the_rehearsal(monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(rehearsal: Rehearsal) -> None:
        os.kill(rehearsal.traffic.processes[0].pid, signal.SIGKILL)
        rehearsal.wait(5.0)

    monkeypatch.setattr(Rehearsal, "forward", kill)
    with pytest.raises(ClientFailed, match="Client 0 ended with status -9"):
        _run()


def test_it_can_be_interrupted_and_removes_its_database(made: list[str]) -> None:
    with pytest.raises(Interrupted):
        rehearse(SMALL, conf.current(), Control(stopped=lambda: True))
    assert left_of(made) == []


def test_too_few_users_for_the_clients_is_a_usage_error() -> None:
    with pytest.raises(CommandError, match="at least 40 users") as refused:
        call_command("rehearse_prefs", users=4, clients=4, interactive=False)
    assert refused.value.returncode == 2


def test_rehearsing_in_a_database_that_is_not_there_is_refused() -> None:
    with pytest.raises(CommandError, match="no database 'nowhere'"):
        call_command("rehearse_prefs", users=10, into="nowhere", interactive=False)


def test_rehearsing_in_a_database_of_yours_asks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        with pytest.raises(CommandError, match="--noinput") as refused:
            call_command("rehearse_prefs", users=10, into="prefs")
    assert refused.value.returncode == 2

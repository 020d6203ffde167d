"""One migrated database for all processes of a run, made once and left by nobody."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.support import scratch, templates


def databases() -> set[str]:
    with scratch.connect("postgres") as session:
        return {name for (name,) in session.execute("SELECT datname FROM pg_database")}


def test_whoever_comes_first_makes_it_and_whoever_leaves_last_drops_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def migrated() -> str:
        made.append(scratch.create())
        return made[-1]

    monkeypatch.setattr(templates, "_migrated", migrated)
    names: list[str] = []
    comers = [
        threading.Thread(target=lambda: names.append(templates.join(tmp_path))) for _ in range(4)
    ]
    for comer in comers:
        comer.start()
    for comer in comers:
        comer.join(30)
    assert names == made * 4
    for _ in range(3):
        templates.leave(tmp_path)
        assert databases().issuperset(made)
    templates.leave(tmp_path)
    assert databases().isdisjoint(made)
    # Whoever comes after that gets one as well.
    assert templates.join(tmp_path) == made[1] != made[0]
    templates.leave(tmp_path)
    assert databases().isdisjoint(made)

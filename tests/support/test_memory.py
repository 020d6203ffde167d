"""Where a run keeps its databases."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import memory


class Usage(NamedTuple):
    """What shutil.disk_usage answers."""

    total: int
    used: int
    free: int


def test_a_folder_with_room_is_used_and_a_small_one_or_none_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for free, fits in ((64 * 1024**2, False), (16 * 1024**3, True)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: Usage(free, 0, free))
        assert memory.has_room(tmp_path) is fits
    assert not memory.has_room(tmp_path / "nowhere")

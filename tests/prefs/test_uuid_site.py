"""A site whose users have UUIDs for keys goes all the way and back with its documents."""

from __future__ import annotations

import json
import subprocess
import sys

from pytest_django import DjangoDbBlocker

from prefs.engine.states import State
from tests.support import scratch


def walked(name: str) -> subprocess.CompletedProcess[str]:
    environ = scratch.environment(name)
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.uuid_site.walk"],
        cwd=scratch.ROOT,
        env={**environ, "DJANGO_SETTINGS_MODULE": "tests.uuid_site.settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_goes_all_the_way_and_back_and_no_document_changes(
    django_db_blocker: DjangoDbBlocker,
) -> None:
    with django_db_blocker.unblock(), scratch.database() as name:
        outcome = walked(name)
    assert outcome.returncode == 0, outcome.stderr
    states = [str(state) for state in State]
    assert json.loads(outcome.stdout) == {
        "copied": 200,
        "passed": [*states[1:], *states[-2::-1]],
        "same": True,
        "blobs": True,
        "served": [True, True, True],
        "late": ['{"n": 1.0, "theme": "dark"}'],
    }

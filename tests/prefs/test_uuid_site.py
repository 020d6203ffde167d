"""A site whose users have UUIDs for keys goes all the way and back with its documents."""

from __future__ import annotations

import json
import subprocess
import sys

from pytest_django import DjangoDbBlocker

from tests.prefs import scratch


def test_it_goes_all_the_way_and_back_and_no_document_changes(
    django_db_blocker: DjangoDbBlocker,
) -> None:
    with django_db_blocker.unblock(), scratch.database() as name:
        walked = subprocess.run(
            [sys.executable, "-W", "error", "-m", "tests.uuid_site.walk"],
            cwd=scratch.ROOT,
            env={
                **scratch.environment(name),
                "DJANGO_SETTINGS_MODULE": "tests.uuid_site.settings",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert walked.returncode == 0, walked.stderr
    assert json.loads(walked.stdout) == {
        "copied": 200,
        "passed": [
            "dual_write",
            "read_cutover",
            "mirror_off",
            "dropped",
            "mirror_off",
            "read_cutover",
            "dual_write",
            "expanded",
        ],
        "same": True,
        "blobs": True,
        "late": ['{"n": 1.0, "theme": "dark"}'],
    }

"""A program that is forked is as one that was started: its own streams, settings and end."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

from prefs.engine.states import State
from tests.support import forked, scratch

LOOK = """import json, os, sys
from django.conf import settings
seen = settings.PREFS_LEASE.seconds
print(json.dumps([sys.argv, os.getpid(), os.getcwd(), seen, sys.stdin.read()]))
print("aside", file=sys.stderr)
sys.exit({status})
"""


def shell(program: str, **settings: object) -> forked.Process:
    return scratch.start(
        scratch.environment("nowhere", **settings), "shell", "-v", "0", "-c", program
    )


def test_it_has_its_own_streams_settings_and_status() -> None:
    for lease, status in ((7, 0), (8, 3)):
        with shell(LOOK.format(status=status), lease=lease) as process:
            out, err = process.communicate(timeout=20)
        argv, pid, folder, seen, typed = json.loads(out)
        assert (argv[:2], pid, folder) == (["manage.py", "shell"], process.pid, str(forked.ROOT))
        assert (seen, typed, err, process.returncode) == (lease, "", "aside\n", status)
    assert "PREFS_TEST_SETTINGS" not in os.environ


def test_it_is_told_what_to_do_on_its_stdin() -> None:
    environ = {**scratch.environment("nowhere"), "DJANGO_SETTINGS_MODULE": "tests.support.settings"}
    with forked.start(environ, "manage.py", "shell", "-v", "0", stdin=True) as process:
        out, err = process.communicate("print('told')\n", timeout=20)
    assert (out, err, process.returncode) == ("told\n", "", 0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_signal_ends_it_and_is_its_status(number: signal.Signals) -> None:
    with shell("import time; print('at work', flush=True); time.sleep(60)") as process:
        assert process.stdout.readline() == "at work\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.send_signal(number)
        assert process.wait(10) == -number
        process.kill()


def test_it_may_answer_a_signal_itself() -> None:
    program = """import signal, sys, time
signal.signal(signal.SIGINT, lambda number, _: sys.exit(128 + number))
print('at work', flush=True)
time.sleep(60)
"""
    with shell(program) as process:
        assert process.stdout.readline() == "at work\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 130


def test_an_argument_that_is_a_constant_of_ours_reaches_it_as_text() -> None:
    environ = scratch.environment("nowhere")
    with scratch.start(environ, "advance_prefs", "--to", State.EXPANDED, "--json") as process:
        out, _ = process.communicate(timeout=30)
    assert "nowhere" in json.loads(out)["error"]
    assert process.returncode == 1


def test_a_warning_is_an_error_and_an_error_is_told() -> None:
    with shell("import warnings; warnings.warn('careful')") as process:
        _, err = process.communicate(timeout=20)
    assert "UserWarning: careful" in err
    assert process.returncode == 1


def test_django_was_loaded_before_and_nothing_that_settings_decide() -> None:
    with forked.start(scratch.environment("nowhere"), "-m", "tests.support.bare") as process:
        out, err = process.communicate(timeout=20)
    found = {"Django": True, "settings": False, "apps": False, "ours": []}
    assert (json.loads(out), err) == (found, "")

"""The model of the protocol is checked as `make model` checks it, and a wrong answer is told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.needs import GCC, SPIN, needs

ROOT = Path(__file__).resolve().parent.parent.parent
MODEL = ROOT / "docs" / "protocol.pml"

needs_spin = needs(SPIN, GCC)


def check_model(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ if path is None else {**os.environ, "PATH": path}
    command = [sys.executable, str(ROOT / "tools" / "check_model.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@needs_spin
def test_the_protocol_holds_in_every_order_of_its_steps_and_a_variant_loses_a_write() -> None:
    done = check_model("protocol", "INSERT_ONLY", "REFUSED_IN_TABLES")
    assert done.returncode == 0, done.stdout + done.stderr
    found = dict(re.findall(r"^(\w+) +(holds|lost|possible) ", done.stdout, re.MULTILINE))
    assert found == {"protocol": "holds", "INSERT_ONLY": "lost", "REFUSED_IN_TABLES": "possible"}


@needs_spin
@pytest.mark.parametrize(
    ("arguments", "found", "expected"),
    [
        pytest.param(("protocol", "-D", "NO_DRAIN=1"), "lost", "holds", id="it loses a write"),
        pytest.param(
            ("protocol", "-D", "NO_DRAIN=1", "-D", "ONLY=APART"),
            "apart",
            "holds",
            id="two transactions are two routes apart",
        ),
        pytest.param(
            ("protocol", "-D", "CAPTURE_MISSES=1", "-D", "ONLY=UNEQUAL"),
            "unequal",
            "holds",
            id="evidence lies",
        ),
        pytest.param(("COPIED", "-D", "WORKERS=0"), "holds", "possible", id="an event cannot come"),
        pytest.param(("protocol", "--depth", "99"), "cut short", "holds", id="it is cut short"),
        pytest.param(("protocol", "-D", "active=passive"), "failed", "holds", id="it is no model"),
    ],
)
def test_a_check_that_finds_something_else_fails(
    arguments: tuple[str, ...], found: str, expected: str
) -> None:
    done = check_model(*arguments)
    assert done.returncode == 1
    assert re.search(
        rf"^{arguments[0]} +{found} .*WRONG: '{expected}' was expected$", done.stdout, re.MULTILINE
    )
    assert "0 of 1 checks" in done.stdout


def test_what_is_missing_is_named_with_its_package(tmp_path: Path) -> None:
    done = check_model("protocol", path=str(tmp_path))
    assert done.returncode == 1
    assert "needs spin and gcc" in done.stderr
    assert "apt-get install spin gcc libc6-dev" in done.stderr


@needs_spin
def test_a_check_that_does_not_exist_is_named() -> None:
    done = check_model("NO_SUCH")
    assert done.returncode == 1
    assert "NO_SUCH" in done.stderr
    assert "NO_DRAIN" in done.stderr


def test_every_variant_and_every_event_of_the_model_is_checked() -> None:
    text = MODEL.read_text(encoding="utf-8")
    checked = subprocess.run(
        [sys.executable, "-c", "import check_model as c; print(c.VARIANTS + c.EVENTS)"],
        cwd=ROOT / "tools",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    variants = set(re.findall(r"^#ifndef (\w+)", text, re.MULTILINE)) - {"WORKERS"}
    events = set(re.findall(r"HAPPENS\(\(?(?:\w+ -> )?(\w+)", text)) - {"event"}
    assert {name for name in variants | events if name not in checked} == set()
    assert len(variants) == 20
    assert len(events) >= 14

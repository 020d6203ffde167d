"""What a test needs and is not there: the test is left out by name, and nothing fails."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.inner import run_pytest
from tests.support.needs import program

A_TEST = """
import pytest
from tests.support.needs import GCC, PGBOUNCER, SPIN, needs

@pytest.fixture
def broken():
    raise AssertionError("a fixture of a test that is left out")

@needs(SPIN)
@needs(GCC)
def test_of_two(broken): ...

@pytest.mark.parametrize("number", [1, pytest.param(2, marks=needs(SPIN)), 3])
def test_in_part(number): assert number != 2

@needs(PGBOUNCER)
def test_by_the_proxy(): ...
"""


def left_out(folder: Path, path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run A_TEST with the programs that `path` has."""
    return run_pytest(folder, A_TEST, "tests.support.needs", *options, path=path)


def installed(folder: Path, *names: str) -> Path:
    """A folder of programs, which do nothing."""
    folder.mkdir()
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["here", "in processes"])
def test_what_is_missing_is_named_at_the_end_and_nothing_fails(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Case C15: on a bare machine the run passes, and says what it did not test."""
    ended = left_out(tmp_path, installed(tmp_path / "bin"), *options)
    assert ended.returncode == 0, ended.stdout
    told = ended.stdout.partition("left out")[2].splitlines()
    assert told[1:4] == [
        "Left out: 1 test needs gcc (Debian's packages gcc and libc6-dev)",
        "Left out: 1 test needs pgbouncer (Debian's package pgbouncer)",
        "Left out: 2 tests need spin (Debian's package spin)",
    ]
    assert told[-1].startswith("2 passed, 3 skipped")


def test_where_a_part_is_there_the_rest_is_named(tmp_path: Path) -> None:
    ended = left_out(tmp_path, installed(tmp_path / "bin", "spin", "pgbouncer"))
    assert "Left out: 1 test needs gcc (Debian's packages gcc and libc6-dev)" in ended.stdout
    assert "spin" not in ended.stdout.partition("left out")[2]
    # It was run: a test that is not left out fails where it is wrong.
    assert "assert 2 != 2" in ended.stdout


def test_a_program_that_only_root_has_in_its_path_is_found_beside_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_, sbin = installed(tmp_path / "bin"), installed(tmp_path / "sbin", "pgbouncer")
    monkeypatch.setenv("PATH", str(bin_))
    assert program("bouncer", "pgbouncer") == str(sbin / "pgbouncer")
    assert program("bouncer") is None

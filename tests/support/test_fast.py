"""The tier of `make test-fast`: what it leaves out follows from the code of the tests."""

from __future__ import annotations

import multiprocessing
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import scratch
from tests.support.fast import starts_processes
from tests.support.inner import run_pytest
from tests.support.needs import program

A_TEST = """
import subprocess
from pathlib import Path
import pytest

@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("letter", "ab")
def test_of_many_cases(number, letter): ...

@pytest.mark.slow
def test_that_says_so(): ...

@pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_with_a_slow_case(number): assert number == 1

def test_out_of_sight(): getattr(subprocess, "run")(["true"])
"""


def directly() -> None:
    subprocess.run(["true"], check=True)


def by_a_helper() -> int:
    return max(scratch.manage({}, at).returncode for at in ("check",))


@contextmanager
def helper() -> Iterator[None]:
    with subprocess.Popen(["true"]):
        yield


class Starter:
    """A process by a method."""

    def begin(self) -> None:
        directly()


def by_a_context() -> None:
    with helper():
        pass


def of_another_kind() -> None:
    multiprocessing.get_context("spawn").Process(target=directly).start()


def by_a_method() -> None:
    Starter().begin()


def of_none() -> None:
    with scratch.connect("postgres") as session:
        session.execute("SELECT 1")
    program("sh")


@pytest.mark.parametrize(
    "function", [directly, by_a_helper, by_a_context, by_a_method, of_another_kind]
)
def test_what_starts_a_process_is_seen_by_what_it_names(function: Callable[[], object]) -> None:
    assert starts_processes(function)


def test_what_starts_none_is_kept() -> None:
    assert not starts_processes(of_none)


def test_each_test_is_run_in_one_case_and_starts_no_process(tmp_path: Path) -> None:
    """What is asked for is kept to, also by a test whose code hides what it does."""
    ended = run_pytest(tmp_path, A_TEST, "tests.support.fast", "--fast")
    assert "1 failed, 2 passed, 11 deselected" in ended.stdout.splitlines()[-1]
    assert (
        "FAILED test_a.py::test_out_of_sight - Failed: this test starts a process" in ended.stdout
    )


def test_without_it_everything_is_run(tmp_path: Path) -> None:
    ended = run_pytest(tmp_path, A_TEST, "tests.support.fast")
    assert "1 failed, 13 passed" in ended.stdout.splitlines()[-1]

"""The line that tells how far a run is: what is in it, when it is told, and where it goes."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from django.core.management.base import OutputWrapper

from prefs.engine.batches import Progress
from prefs.management.progress import ProgressLine, Window, text_of
from prefs.models import Run
from tests.support.steps import FakeClock

TOTAL = 10_000


class Output(io.StringIO):
    """A stream that is a terminal or is none."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


class Told:
    """A progress line, its clock, and what it wrote."""

    def __init__(self, *, terminal: bool, verbosity: int = 1) -> None:
        self.clock = FakeClock()
        self.out = Output(terminal=terminal)
        self.line = ProgressLine(OutputWrapper(self.out), verbosity, self.clock.now)

    def batch(self, users: int, seconds: float, note: str = "", **more: Any) -> str:
        """What is written for a batch that ends after so many seconds."""
        self.clock.sleep(seconds)
        self.out.truncate(0)
        self.out.seek(0)
        self.line(progress(users, note=note, **more))
        return self.out.getvalue()


def progress(users: int, **more: Any) -> Progress:
    """How far a copy is."""
    told = Progress(phase=Run.Phase.COPY.value, users=users, total=TOTAL, differing=0, batch=250)
    return replace(told, **more)


def rate(*batches: tuple[float, int, bool]) -> float | None:
    """The rate after batches: (when, users so far, held back)."""
    window = Window()
    for now, users, held_back in batches:
        window.add(now, users, held_back=held_back)
    return window.rate()


# --- the rate ----------------------------------------------------------------------------


def test_the_rate_is_unknown_until_two_batches_are_done() -> None:
    assert rate() is None
    assert rate((1, 100, False)) is None
    assert rate((1, 100, False), (2, 300, False)) == 200


def test_the_rate_is_unknown_while_nothing_is_done() -> None:
    assert rate((1, 100, False), (2, 100, False)) is None
    assert rate((1, 100, False), (1, 300, False)) is None


def test_the_rate_is_that_of_the_last_half_minute() -> None:
    slow = [(float(second), second * 10, False) for second in range(100)]
    fast = [(100.0 + second, 1_000 + second * 500, False) for second in range(31)]
    assert rate(*slow) == 10
    assert rate(*slow, *fast) == 500


def test_time_that_was_held_back_is_no_part_of_the_rate() -> None:
    work = [(float(second), second * 100, False) for second in range(11)]
    held = [(10 + second / 5, 1_000, True) for second in range(1, 3_000)]
    ends = held[-1][0]
    after = [(ends + second, 1_000 + second * 100, False) for second in range(1, 11)]
    assert rate(*work, *held) == 100
    assert rate(*work, *held, *after) == 100


def test_another_phase_has_a_rate_of_its_own() -> None:
    told = Told(terminal=True)
    told.batch(0, 1)
    assert " 100/s" in told.batch(100, 1)
    again = told.batch(50, 1, phase="catch_up")
    assert "catch_up: 50 users" in again
    assert "rate unknown" in again


# --- the text ----------------------------------------------------------------------------


def test_it_says_rows_percent_rate_time_left_and_batch() -> None:
    assert text_of(progress(2_500), 100.0) == (
        "copy: 2,500 users, 25%, 100/s, 75 s left, 0 differing, batch 250"
    )


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(59, "59 s"), (89, "89 s"), (90, "2 min"), (300, "5 min"), (7_500, "2 h 5 min")],
)
def test_the_time_left_is_said_as_people_say_it(seconds: int, said: str) -> None:
    assert f", {said} left," in text_of(progress(50, total=50 + 100 * seconds), 100.0)


def test_what_is_unknown_is_called_unknown() -> None:
    assert ", rate unknown, time left unknown," in text_of(progress(2_500), None)


def test_users_who_came_meanwhile_never_make_more_than_all() -> None:
    text = text_of(progress(10_400), 100.0)
    assert text.startswith("copy: 10,400 users, 100%, 100/s, time left unknown,")
    assert ", 100%, " in text_of(progress(0, total=0), None)


def test_it_shows_how_many_workers_there_are_and_what_they_wait_for() -> None:
    text = text_of(progress(1, workers=3, note="waiting: 12 sessions are active"), None)
    assert text.endswith(", batch 250, 3 workers, waiting: 12 sessions are active")
    assert "workers" not in text_of(progress(1), None)


def test_a_correction_finds_and_does_not_compare() -> None:
    assert ", 7 found," in text_of(progress(1, phase="correct", differing=7), None)


# --- where and when ------------------------------------------------------------------------


def test_on_a_terminal_it_is_one_line_that_changes() -> None:
    told = Told(terminal=True)
    first = told.batch(2_500, 0.2, note="waiting: 12 sessions are active")
    assert first.startswith("\rcopy: 2,500 users, 25%, ")
    second = told.batch(5_000, 0.2)
    assert second.startswith("\rcopy: 5,000 users, 50%, 12,500/s, ")
    assert "\n" not in first + second
    # The shorter text covers the longer one before it.
    assert len(second) == len(first)
    assert told.batch(5_001, 0.01) == ""
    told.line.end()
    assert told.out.getvalue() == "\n"


def test_elsewhere_it_is_a_plain_line_every_few_seconds() -> None:
    told = Told(terminal=False)
    written = [told.batch(100 * second, 1) for second in range(1, 12)]
    lines = [text for text in written if text]
    assert lines == [written[4], written[9]]
    assert lines[0] == "copy: 500 users, 5%, 100/s, 2 min left, 0 differing, batch 250\n"
    told.line.end()
    assert told.batch(1_200, 0.1) == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_is_quiet(terminal: bool) -> None:
    told = Told(terminal=terminal, verbosity=0)
    assert "".join(told.batch(100, 10) for _ in range(3)) == ""
    told.line.end()
    assert told.out.getvalue() == ""


def test_the_reason_of_a_long_wait_is_told_again_and_again() -> None:
    told = Told(terminal=False)
    note = "waiting: replicas are 12 s behind"
    lines = [told.batch(100, 0.25, note=note, held_back=True) for _ in range(100)]
    assert sum(line.endswith(f", {note}\n") for line in lines) == 5

"""Workers: threads of one process, each with a connection of its own, that share a run.

The work is PostgreSQL's, so threads are enough to keep it busy. The first worker is the
calling thread itself: it is the one that hears signals.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from functools import partial

from django.db import Error, connections

from prefs.engine import ranges
from prefs.engine.batches import BatchRunner, Progress
from prefs.engine.leases import HeldRange, LeaseLost, holder
from prefs.engine.tasks import Task
from prefs.models import Range, Run

# How often a worker without work looks whether another has left some.
_LOOK_AGAIN = 0.1
# How many times as long a batch may take that locks no user: 1 ms of each is its statements.
_PATIENT = 2


class WorkerPool:
    """The workers of one process on one run."""

    def __init__(self, run: Run, task: Task) -> None:
        self.run = run
        self.task = task
        self.alias = task.alias
        self.error: BaseException | None = None
        self._ended = threading.Event()
        self._telling = threading.Lock()

        def told(progress: Progress) -> None:
            with self._telling:
                task.control.progress(progress)

        def stopped() -> bool:
            return self._ended.is_set() or task.control.stopped()

        self.control = replace(task.control, progress=told, stopped=stopped)

    def work(self, workers: int) -> Run:
        """Work until the run is over or this process is to stop.

        Raises what the first worker that failed did; the others finish their batch then.
        """
        others = [
            threading.Thread(target=self._apart, args=(number,), name=f"worker {number}")
            for number in range(2, workers + 1)
        ]
        for other in others:
            other.start()
        self._run(1)
        for other in others:
            other.join()
        # Where the database is what failed, the leases run out by themselves.
        ignored: tuple[type[Exception], ...] = (Error, LeaseLost) if self.error else ()
        with contextlib.suppress(*ignored):
            ranges.conclude(self.run, self.alias, self.error)
        if self.error is not None:
            raise self.error
        self.run.refresh_from_db(using=self.alias)
        return self.run

    def _run(self, number: int) -> None:
        try:
            self._work(number)
        except BaseException as error:  # noqa: BLE001 - raised again when all have ended
            self.error = self.error or error
            self._ended.set()

    def _apart(self, number: int) -> None:
        self._run(number)
        connections[self.alias].close()

    def _work(self, number: int) -> None:
        worker, task = f"{holder()}, worker {number}", self.task
        runner = BatchRunner(self.alias, task.settings, self.control, self.run.phase, task.total)
        while not self.control.stopped():
            taken = ranges.claim(self.run, worker, task)
            if taken is not None:
                self._through(taken, runner)
            elif self._is_over():
                return
            else:
                self.control.clock.sleep(_LOOK_AGAIN)

    def _is_over(self) -> bool:
        """Whether nothing is left to do; does what a phase without ranges is for."""
        phase = ranges.phase_of(self.run, self.alias)
        if phase in self.task.chores and not self.task.chore(phase):
            return False
        return ranges.is_over(self.run, phase, self.task)

    def _through(self, taken: Range, runner: BatchRunner) -> None:
        """Work through a range, or leave it as far as it is."""
        whole, phase = False, taken.run.phase
        try:
            holding = HeldRange(taken, self.alias, self.task.settings)
            holding.renew()
            runner.phase = phase
            runner.target = self.control.target * (_PATIENT if phase in self.task.unlocked else 1)
            whole = runner.through(holding, partial(self.task.batch, phase))
            if whole:
                ranges.fold(taken, self.alias)
        except LeaseLost as lost:
            self.control.notice(str(lost))
        finally:
            if not whole:
                with contextlib.suppress(Error):
                    ranges.release(taken, self.alias)

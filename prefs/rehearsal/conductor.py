"""The rehearsal itself: seed, expand, all transitions forward, all the way back, and check.

It takes every step by the engine functions that the commands call, under gates that really
hold; only the soaks are shortened.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from django.core.management import call_command
from django.db import connections
from django.db.migrations.loader import MigrationLoader

from prefs.conf import Settings
from prefs.engine import seeding
from prefs.engine.archiving import ArchiveInterrupted
from prefs.engine.audit import Signature, acting_as
from prefs.engine.backfill import backfill
from prefs.engine.batches import Control, Progress
from prefs.engine.quarantine import (
    NothingInQuarantine,
    accept,
    leaves_in_quarantine,
    quarantined,
)
from prefs.engine.repair import Direction
from prefs.engine.states import State
from prefs.engine.transitions import take_transition
from prefs.engine.verification import verify
from prefs.models import Run
from prefs.plan import history
from prefs.plan.build import build
from prefs.plan.evidence import Evidence, gather
from prefs.plan.model import Plan
from prefs.plan.team import Team
from prefs.rehearsal import checks
from prefs.rehearsal.recorded import record
from prefs.rehearsal.report import Phase, Report, phases_of
from prefs.rehearsal.scratch import ALIAS, scratch_database
from prefs.rehearsal.traffic import Traffic, traffic
from prefs.sql.asking import execute

_SOAK = 1.0
_HOLD = 6.0
_DIRTY = 0.05
_ACTOR = "rehearse_prefs"


class Interrupted(RuntimeError):
    """The operator stopped the rehearsal."""

    def __init__(self) -> None:
        super().__init__("The rehearsal was interrupted; nothing was checked.")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to rehearse."""

    users: int
    clients: int = 4
    seed: int = 1
    keep: bool = False
    into: str | None = None


@dataclass(kw_only=True)
class Rehearsal:
    """One rehearsal: how it goes about, and what it has seen so far."""

    settings: Settings
    control: Control
    traffic: Traffic
    users: int
    phases: list[Phase] = field(default_factory=list)
    mismatches: int = 0
    interrupted: int = 0
    at_the_end: Evidence | None = None
    """What there was where the column had been dropped, before the way back."""

    def forward(self) -> None:
        """Every transition from expanded to dropped."""
        with self.phase("expanded"):
            self.leave_a_backfill()
            self.backfill(Direction.FORWARD)
        with self.phase("dual_write"):
            self.go(State.DUAL_WRITE, forward=True)
            self.backfill(Direction.FORWARD)
            self.accept()
            self.verify()
        with self.phase("read_cutover"):
            self.go(State.READ_CUTOVER, forward=True)
            self.verify()
            self.wait(_SOAK)
        with self.phase("mirror_off"):
            self.go(State.MIRROR_OFF, forward=True)
            self.wait(_SOAK)
        with self.phase("dropped"):
            self.go(State.DROPPED, forward=True)
            self.at_the_end = gather(ALIAS, self.settings)

    def back(self) -> None:
        """And all the way back."""
        with self.phase("back to mirror_off"):
            self.go(State.MIRROR_OFF, forward=False)
        with self.phase("back to read_cutover"):
            self.go(State.READ_CUTOVER, forward=False)
            self.backfill(Direction.REVERSE)
            self.verify()
        with self.phase("back to dual_write"):
            self.go(State.DUAL_WRITE, forward=False)
            self.verify()
        with self.phase("back to expanded"):
            self.go(State.EXPANDED, forward=False)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a state, from the transition into it, and let it stand for a while."""
        self.control.notice(name)
        began = self.control.clock.now()
        yield
        self.wait(_HOLD)
        self.phases.append(Phase(name=name, began=began, ended=self.control.clock.now()))

    def wait(self, seconds: float) -> None:
        """Let the traffic run; Interrupted or ClientFailed where that is what happens."""
        until = self.control.clock.now() + seconds
        while self.control.clock.now() < until:
            self._go_on()
            self.control.clock.sleep(0.1)

    def _go_on(self) -> None:
        if self.control.stopped():
            raise Interrupted
        self.traffic.check()

    def go(self, target: State, *, forward: bool) -> None:
        """Take one transition, under all its gates."""
        with contextlib.suppress(ArchiveInterrupted):
            take_transition(ALIAS, target, self.settings, self.control, forward=forward)
        self._go_on()

    def backfill(self, direction: Direction) -> None:
        """A backfill with its catch-up, to the end."""
        backfill(ALIAS, direction, self.settings, self.control)
        self._go_on()

    def leave_a_backfill(self) -> None:
        """Stop a backfill after its first batch, as an operator would; the next one resumes it."""
        done: list[Progress] = []
        stopped = replace(
            self.control,
            batch_size=max(1, self.users // 4),
            progress=lambda each: None if each.note else done.append(each),
            stopped=lambda: bool(done) or self.control.stopped(),
        )
        left = backfill(ALIAS, Direction.FORWARD, self.settings, stopped)
        self.interrupted += left.status == Run.Status.INTERRUPTED
        self._go_on()

    def accept(self) -> None:
        """Accept what is in quarantine, which somebody has to before the plan is done."""
        for found in leaves_in_quarantine(ALIAS):
            reason = Signature(actor=_ACTOR, reason="it stays in the residue, as a client reads it")
            # A client may have written over the last of it since.
            with acting_as(reason), contextlib.suppress(NothingInQuarantine):
                accept(ALIAS, found.leaf)

    def verify(self) -> None:
        """A verification of all users; what it finds is counted against the migration."""
        self.mismatches += verify(ALIAS, self.settings, self.control).differing
        self._go_on()


def rehearse(options: Options, settings: Settings, control: Control) -> Report:
    """Rehearse in a scratch database and report; it is removed at the end unless kept.

    Raises whatever a step raises (a gate that refuses, say), Interrupted, ClientFailed and what
    `scratch_database` does. Nothing of the site's own database is read or written.
    """
    short = timedelta(seconds=_SOAK)
    settings = replace(settings, cutover_soak=short, contract_soak=short)
    scratch = scratch_database(options.into, keep=options.keep)
    signed = acting_as(Signature(actor=_ACTOR))
    with signed, scratch as database, tempfile.TemporaryDirectory() as folder:
        _prepare(options, control)
        users = checks.remember()
        _migrate("prefs")
        # With the default that expand gives it.
        column = checks.column_definition()
        began = control.clock.now()
        with traffic(Path(folder), database, options.clients) as running:
            rehearsal = Rehearsal(settings=settings, control=control, traffic=running, users=users)
            while not running.has_begun():
                rehearsal.wait(0.1)
            rehearsal.forward()
            rehearsal.back()
            records = running.stop()
        control.notice("checking every acknowledged write")
        report = Report(
            users=users,
            seconds=control.clock.now() - began,
            phases=phases_of(rehearsal.phases, records),
            records=tuple(records),
            lost=checks.lost_writes(records),
            mismatches=rehearsal.mismatches,
            interrupted=rehearsal.interrupted,
            blobs_changed=checks.blobs_changed(running.written),
            column_changed=checks.column_definition() != column,
            quarantined=sum(quarantined(ALIAS).values()),
            database=database if options.keep or options.into else None,
        )
        return replace(report, plan=_plan(rehearsal, report))


def _plan(rehearsal: Rehearsal, report: Report) -> Plan:
    """The plan as it stood at the end of the way forward; the way back follows in its log.

    The rehearsal itself is on record in its own database, as it will be in the site's.
    """
    assert rehearsal.at_the_end is not None
    record(report, ALIAS)
    now = gather(ALIAS, rehearsal.settings)
    there = build(replace(rehearsal.at_the_end, rehearsals=now.rehearsals), Team())
    return replace(there, log=history.log(now))


def _prepare(options: Options, control: Control) -> None:
    """The site as it was: everything but this app, its users, and the planner's figures."""
    control.notice("making the site as it was before")
    for app, name in MigrationLoader(connections[ALIAS]).graph.leaf_nodes():
        if app != "prefs":
            _migrate(app, name)
    seeding.seed(
        ALIAS,
        options.users,
        odd=_DIRTY,
        seed=options.seed,
        progress=lambda done: control.notice(f"{done} of {options.users} users"),
    )
    execute(connections[ALIAS], "VACUUM ANALYZE")


def _migrate(app: str, *name: str) -> None:
    # What migrate prints is progress here, not a result.
    with contextlib.redirect_stdout(sys.stderr):
        call_command("migrate", app, *name, database=ALIAS, verbosity=0, interactive=False)

"""Rules: background work, stopped in the middle and resumed: copies, comparisons, corrections."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from prefs.engine.backfill import backfill
from prefs.engine.batches import ColumnGone, Control
from prefs.engine.corrections import Corrected, Correction, correct
from prefs.engine.flips import OpenTransition
from prefs.engine.leases import OPEN
from prefs.engine.repair import Direction, PrimaryMoved
from prefs.engine.verification import verify
from prefs.models import Run
from tests.prefs.machine import drawing
from tests.prefs.machine.base import SELDOM, USERS
from tests.prefs.machine.documents import corrected, parse, quarantined, text_of
from tests.prefs.machine.model import EXPANDED
from tests.prefs.machine.writing import WritingRules
from tests.support import steps
from tests.support.reference import ABSENT
from tests.support.steps import ALIAS, SOON


def stops_after(batches: int | None) -> Control:
    """One user a batch, and an operator who stops it after so many; None lets it end."""
    return Control() if batches is None else steps.stops_after(batches)


STOPS = st.none() | st.integers(0, 4)


class BackgroundRules(WritingRules):
    """What operators run."""

    # --- copying and comparing -----------------------------------------------------------

    @rule(direction=st.sampled_from(Direction), stop=STOPS)
    def copy(self, direction: Direction, stop: int | None) -> None:
        primary_moved = (direction is Direction.REVERSE) != self.model.reads_tables
        expected = self._refusal(PrimaryMoved if primary_moved else None)
        kind = Run.Kind.REVERSE if direction is Direction.REVERSE else Run.Kind.BACKFILL
        if expected:
            with pytest.raises(expected):
                backfill(ALIAS, direction, SOON, Control())
            return
        before = open_run(kind)
        run = backfill(ALIAS, direction, SOON, stops_after(stop))
        if direction is Direction.FORWARD:
            self.model.copied(self.passed(Run.Phase.COPY, run, before))
        self.model.caught_up(self.passed(Run.Phase.CATCH_UP, run, before))

    @rule(repair=st.booleans(), stop=STOPS)
    def verify(self, repair: bool, stop: int | None) -> None:
        expected = self._refusal(None)
        if expected:
            with pytest.raises(expected):
                verify(ALIAS, SOON, Control(), repair=repair)
            return
        before = open_run(Run.Kind.VERIFICATION)
        found: list[int] = []
        run = verify(ALIAS, SOON, stops_after(stop), repair=repair, report=found.extend)
        passed = self.passed(Run.Phase.COMPARE, run, before)
        differing = self.model.differing() & passed
        expected_keys = sorted(self.keys[user] for user in differing)
        assert found == expected_keys, f"verification found {found}, not {expected_keys}"
        if repair:
            self.model.caught_up(differing)
        if run.status == Run.Status.DONE:
            self.model.compared(run.differing)

    def _refusal(self, other: type[Exception] | None) -> type[Exception] | None:
        """What background work is refused with now."""
        if self.model.is_open:
            return OpenTransition
        return other if self.model.has_column else ColumnGone

    def passed(self, phase: Run.Phase, run: Run, before: Run | None) -> set[int]:
        """The users whom a phase of a run has passed since it was `before`."""
        began = before if before is not None and before.pk == run.pk else None
        after, upto = None, None
        if began is not None and began.phase == phase:
            after = began.cursor
        elif began is not None and began.phase == Run.Phase.CATCH_UP:
            return set()
        if run.phase == phase:
            upto = reached(run)
            if upto is None:
                return set()
        elif run.phase == Run.Phase.COPY:
            return set()
        return {
            user
            for user, key in self.keys.items()
            if (after is None or key > int(after)) and (upto is None or key <= int(upto))
        }

    # --- the quarantine ------------------------------------------------------------------

    @rule(pick=st.integers(0, 5), exactly=st.booleans(), user=st.none() | USERS)
    def correct(self, pick: int, exactly: bool, user: int | None) -> None:
        """An entry that is listed: of everybody who has one there, or has that value; or one."""
        users = self.model.users if user is None else {user}
        entries = [entry for each in sorted(users) for entry in self._listed(each)]
        if not entries:
            return
        leaf, value = entries[pick % len(entries)]
        chosen = Correction(
            leaf=leaf,
            value=value if exactly else None,
            new=drawing.CORRECT.get(leaf),
            user=None if user is None else self.keys[user],
        )
        note(f"corrected: {chosen}")
        self._corrected(users, chosen, correct(ALIAS, chosen, SOON, Control()))

    @precondition(lambda self: self.model.state is EXPANDED and self.steps % SELDOM == 0)
    @rule(user=USERS, text=drawing.documents())
    def correct_by_an_old_list(self, user: int, text: str | None) -> None:
        """The user has written since their copy was made."""
        self.write_one("sql_update", user, drawing.QUARANTINED)
        self.verify(repair=True, stop=None)
        self.write_one("sql_update", user, text)
        self.correct(0, exactly=False, user=user)

    def _listed(self, user: int) -> list[tuple[str, str | None]]:
        """What the list has of a user: of the tables, which may be an older copy."""
        entries = quarantined(self.model.tables.get(user, ABSENT))
        return sorted((leaf, text_of(value)) for leaf, value in entries.items())

    def _corrected(self, users: set[int], chosen: Correction, done: Corrected) -> None:
        """Whoever is listed is looked at again under the lock; a blob's copies are made equal."""
        model, written = self.model, 0
        listed = {user for user in users if _holds(model.tables.get(user, ABSENT), chosen)}
        for user in listed:
            document = model.document(user)
            if _holds(document, chosen):
                model.write(user, corrected(document, chosen.leaf, chosen.new))
                written += 1
        if not model.reads_tables:
            model.caught_up(listed)
        found, expected = (done.users, done.skipped), (written, len(listed) - written)
        assert found == expected, f"corrected and skipped are {found}, not {expected}"


def _holds(document: Any, chosen: Correction) -> bool:
    """Whether a document has such an entry in quarantine."""
    entries = quarantined(document)
    return chosen.leaf in entries and (
        chosen.value is None or entries[chosen.leaf] == parse(chosen.value)
    )


def open_run(kind: Run.Kind) -> Run | None:
    """The run of a kind that can be gone on with; its cursor is where its batches are."""
    found = Run.objects.filter(kind=kind, status__in=OPEN).first()
    if found is not None:
        found.cursor = reached(found)
    return found


def reached(run: Run) -> str | None:
    """How far the batches of a run have come: the cursor of the run is that of its last range."""
    left = run.ranges.first()
    return run.cursor if left is None else left.cursor

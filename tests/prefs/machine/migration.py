"""Rules: the migration itself, forward, back, stopped in the middle, and refused."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from django.core.management.base import CommandError
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from waffle import get_waffle_switch_model

from prefs.engine.backfill import ColumnGone, backfill
from prefs.engine.flips import OpenTransition
from prefs.engine.gates import GateRefused
from prefs.engine.quarantine import Corrected, Correction, correct
from prefs.engine.repair import Direction, PrimaryMoved
from prefs.engine.runs import OPEN, Control
from prefs.engine.states import OutOfOrder, State, refuse_to_unexpand
from prefs.engine.switches import SwitchRefused
from prefs.engine.verification import verify
from prefs.models import Run
from prefs.routing import DUAL_WRITE, READ_TABLES
from tests.prefs.engine.steps import ALIAS, SOON, TESTER, rows, take
from tests.prefs.machine import drawing
from tests.prefs.machine.base import SELDOM, USERS
from tests.prefs.machine.documents import corrected, parse, quarantined, text_of
from tests.prefs.machine.model import DROPPED, EXPANDED, ORDER
from tests.prefs.machine.writing import WritingRules
from tests.prefs.reference import ABSENT

_TURNED = {
    (DUAL_WRITE, True): {State.EXPANDED: State.DUAL_WRITE, State.MIRROR_OFF: State.READ_CUTOVER},
    (DUAL_WRITE, False): {State.DUAL_WRITE: State.EXPANDED, State.READ_CUTOVER: State.MIRROR_OFF},
    (READ_TABLES, True): {State.DUAL_WRITE: State.READ_CUTOVER},
    (READ_TABLES, False): {State.READ_CUTOVER: State.DUAL_WRITE},
}


def stops_after(batches: int | None) -> Control:
    """One user a batch, and an operator who stops it after so many; None lets it end."""
    if batches is None:
        return Control()
    looks: Iterator[int] = count()
    return Control(batch_size=1, stopped=lambda: next(looks) >= batches)


_STOPS = st.none() | st.integers(0, 4)


class MigrationRules(WritingRules):
    """What operators do."""

    # --- copying and comparing -----------------------------------------------------------

    @rule(direction=st.sampled_from(Direction), stop=_STOPS)
    def copy(self, direction: Direction, stop: int | None) -> None:
        primary_moved = (direction is Direction.REVERSE) != self.model.reads_tables
        expected = self._refusal(PrimaryMoved if primary_moved else None)
        kind = Run.Kind.REVERSE if direction is Direction.REVERSE else Run.Kind.BACKFILL
        if expected:
            with pytest.raises(expected):
                backfill(ALIAS, direction, SOON, Control())
            return
        before = _open(kind)
        run = backfill(ALIAS, direction, SOON, stops_after(stop))
        if direction is Direction.FORWARD:
            self.model.copied(self._passed(Run.Phase.COPY, run, before))
        self.model.caught_up(self._passed(Run.Phase.CATCH_UP, run, before))

    @rule(repair=st.booleans(), stop=_STOPS)
    def verify(self, repair: bool, stop: int | None) -> None:
        expected = self._refusal(None)
        if expected:
            with pytest.raises(expected):
                verify(ALIAS, SOON, Control(), repair=repair)
            return
        before = _open(Run.Kind.VERIFICATION)
        found: list[int] = []
        run = verify(ALIAS, SOON, stops_after(stop), repair=repair, report=found.extend)
        passed = self._passed(Run.Phase.COMPARE, run, before)
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

    def _passed(self, phase: Run.Phase, run: Run, before: Run | None) -> set[int]:
        """The users whom a phase of a run has passed since it was `before`."""
        began = before if before is not None and before.pk == run.pk else None
        after, upto = None, None
        if began is not None and began.phase == phase:
            after = began.cursor
        elif began is not None and began.phase == Run.Phase.CATCH_UP:
            return set()
        if run.phase == phase:
            upto = run.cursor
            if upto is None:
                return set()
        elif run.phase == Run.Phase.COPY:
            return set()
        return {
            user
            for user, key in self.keys.items()
            if (after is None or key > int(after)) and (upto is None or key <= int(upto))
        }

    # --- transitions ---------------------------------------------------------------------

    @rule(forward=st.booleans())
    def move(self, forward: bool) -> None:
        """The next transition, whether or not its gates are met; or the rest of an open one."""
        if self.model.is_open:
            self.go_on_with_restore(None, forward, further=False)
            return
        target = self._neighbour(forward)
        gate = self.model.gate(target) if target else None
        if target is None or gate:
            with pytest.raises(GateRefused if gate else OutOfOrder, match=gate):
                take(None, forward=forward)
        else:
            take(target, forward=forward)
            self._moved(target)

    @rule(forward=st.booleans(), steps=st.integers(1, 3))
    def prepare_and_move(self, forward: bool, steps: int) -> None:
        """Everything that gates ask for, then the next transition; and so on."""
        for _ in range(steps):
            target = self._neighbour(forward)
            if target and self.model.gate(target):
                self._meet_gates()
            self.move(forward)

    def _meet_gates(self) -> None:
        if self.model.differing():
            self.copy(Direction.REVERSE if self.model.reads_tables else Direction.FORWARD, None)
        self.verify(repair=False, stop=None)
        if not self.model.verified:
            # It went on with one that had found something.
            self.verify(repair=False, stop=None)

    @precondition(lambda self: self.model.state is DROPPED)
    @rule(stop=st.integers(0, 4))
    def restore_in_part(self, stop: int) -> None:
        taken = take(None, SOON, stops_after(stop), forward=False)
        assert taken is not None
        self.model.moved(State.MIRROR_OFF)
        self._filled(taken.settled_at is None, None)

    @precondition(lambda self: self.model.is_open)
    @rule(stop=_STOPS, forward=st.booleans(), further=st.booleans())
    def go_on_with_restore(self, stop: int | None, forward: bool, further: bool) -> None:
        """In either direction an open restore is finished first."""
        before, further = _open(Run.Kind.REVERSE), further and not forward
        target = State.READ_CUTOVER if further else None
        taken = take(target, SOON, stops_after(stop), forward=forward)
        assert taken is not None
        self._filled(taken.settled_at is None, before)
        if further and taken.settled_at is not None:
            self._moved(State.READ_CUTOVER)

    @rule(name=st.sampled_from((DUAL_WRITE, READ_TABLES)), active=st.booleans())
    def save_switch(self, name: str, active: bool) -> None:
        switch = get_waffle_switch_model().objects.get(name=name)
        turned, switch.active = switch.active is not active, active
        target = _TURNED[name, active].get(self.model.state)
        if turned and (self.model.is_open or target is None or self.model.gate(target)):
            with pytest.raises(SwitchRefused):
                switch.save()
            return
        switch.save()
        if turned and target is not None:
            self._moved(target)

    @precondition(lambda self: self.model.state is EXPANDED and self.steps % SELDOM == 0)
    @rule()
    def contract_at_once(self) -> None:
        """The way of a site without users."""
        if self.model.users:
            with pytest.raises(GateRefused, match="no_users"):
                take(DROPPED)
        else:
            take(DROPPED)
            self._moved(DROPPED)

    @precondition(lambda self: self.model.state is not EXPANDED and self.steps % SELDOM == 0)
    @rule()
    def migrate_to_zero(self) -> None:
        """What `migrate prefs zero` asks first."""
        with pytest.raises(CommandError, match=f"the state is {self.model.state}"):
            refuse_to_unexpand(ALIAS)

    def _neighbour(self, forward: bool) -> State | None:
        place = ORDER.index(self.model.state) + (1 if forward else -1)
        return ORDER[place] if 0 <= place < len(ORDER) else None

    def _moved(self, target: State) -> None:
        restored = self.model.state is DROPPED
        if target is DROPPED:
            archived = dict(rows("SELECT user_id, document::text FROM prefs_archive"))
            blobs = {self.keys[user]: blob for user, blob in self.model.blob.items()}
            assert {key: parse(text) for key, text in archived.items()} == blobs
        self.model.moved(target)
        if restored:
            self.model.caught_up(self.model.users)

    def _filled(self, is_open: bool, before: Run | None) -> None:
        """A restore has filled the column for some, or for the rest."""
        run = Run.objects.filter(kind=Run.Kind.REVERSE).latest("pk")
        self.model.caught_up(self._passed(Run.Phase.COPY, run, before))
        self.model.is_open = is_open

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
        self._corrected(users, chosen, correct(ALIAS, chosen, SOON, Control(), TESTER))

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


def _open(kind: Run.Kind) -> Run | None:
    return Run.objects.filter(kind=kind, status__in=OPEN).first()

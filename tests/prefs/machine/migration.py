"""Rules: transitions, forward, back, stopped in the middle, and refused."""

from __future__ import annotations

import pytest
from django.core.management.base import CommandError
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from waffle import get_waffle_switch_model

from prefs.engine.gates import GateRefused
from prefs.engine.repair import Direction
from prefs.engine.states import OutOfOrder, State
from prefs.engine.switches import SwitchRefused
from prefs.engine.unexpand import refuse_to_unexpand
from prefs.models import Run
from prefs.routing import DUAL_WRITE, READ_TABLES
from tests.prefs.machine.background import STOPS, BackgroundRules, open_run, stops_after
from tests.prefs.machine.base import SELDOM
from tests.prefs.machine.documents import parse
from tests.prefs.machine.model import DROPPED, EXPANDED, ORDER
from tests.support.steps import ALIAS, SOON, rows, take

_TURNED = {
    (DUAL_WRITE, True): {State.EXPANDED: State.DUAL_WRITE, State.MIRROR_OFF: State.READ_CUTOVER},
    (DUAL_WRITE, False): {State.DUAL_WRITE: State.EXPANDED, State.READ_CUTOVER: State.MIRROR_OFF},
    (READ_TABLES, True): {State.DUAL_WRITE: State.READ_CUTOVER},
    (READ_TABLES, False): {State.READ_CUTOVER: State.DUAL_WRITE},
}


class MigrationRules(BackgroundRules):
    """What turns routes."""

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
    @rule(stop=STOPS, forward=st.booleans(), further=st.booleans())
    def go_on_with_restore(self, stop: int | None, forward: bool, further: bool) -> None:
        """In either direction an open restore is finished first."""
        before, further = open_run(Run.Kind.REVERSE), further and not forward
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
        self.model.caught_up(self.passed(Run.Phase.COPY, run, before))
        self.model.is_open = is_open

"""A scenario: parts in a scene, played in all orders, and what must hold after each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from prefs.ddl import sqlstate
from prefs.engine.states import State
from tests.prefs.interleavings import parts
from tests.prefs.interleavings.orders import Order, chosen
from tests.prefs.interleavings.parts import Part
from tests.prefs.interleavings.play import Played, Stage
from tests.prefs.interleavings.scene import Mirror, Scene
from tests.prefs.interleavings.world import Deed, World, look


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Some parts in a scene; the states that it may end in."""

    name: str
    scene: Scene
    parts: Sequence[Part]
    ends: tuple[State, ...]
    converges: bool = True
    """Whether the two stores are equal at the end, where it is mirrored."""
    at_most: int = 500
    """So many orders are all played; of more, a sample is."""
    sample: int = 40

    def play(self, stage: Stage) -> Outcome:
        """Play every order (or the sample) until one ends wrongly."""
        self.scene.prepare()
        outcome, dead = Outcome(scenario=self), set[Order]()
        lengths = [part.steps for part in self.parts]
        for order in chosen(lengths, self.at_most, self.sample):
            outcome.orders += 1
            if any(order[:length] in dead for length in range(1, len(order))):
                outcome.left_out += 1
                continue
            played, deeds = self._one(stage, order)
            outcome.played += 1
            if played.kept is not None:
                dead.add(order[: played.kept + 1])
                outcome.blocked += played.waited
            outcome.wrong = self._wrong(played, deeds)
            if outcome.wrong:
                outcome.order = order
                break
        return outcome

    def _one(self, stage: Stage, order: Order) -> tuple[Played, list[Deed]]:
        self.scene.make()
        deeds: list[Deed] = []
        return stage.play([partial(part.act, deeds.append) for part in self.parts], order), deeds

    def _wrong(self, played: Played, deeds: Sequence[Deed]) -> list[str]:
        """What is not as it must be, in sentences."""
        world, found = World(), look()
        for deed in deeds:
            deed(world)
        never = self._never_raised(world)
        wrong = [
            f"{part.name} ended with {type(error).__name__}: {str(error).splitlines()[0]}"
            for part, error in zip(self.parts, played.errors, strict=True)
            if error is not None and not _names(error) & (set(part.may_raise) - never)
        ]
        expected = world.expected()
        wrong += [
            f"user {key} reads {found.read.get(key)}, not {expected.get(key)}"
            for key in sorted(expected.keys() | found.read.keys())
            if expected.get(key) != found.read.get(key)
        ]
        wrong += world.stale
        if found.state not in self.ends:
            wrong.append(f"the state is {found.state}")
        if found.apart and found.state.route.mirrored and (self.converges or found.claimed):
            wrong.append(f"the stores of {found.apart} differ")
        if found.orphans:
            wrong.append(f"{found.orphans} typed rows without a user")
        return wrong

    def _never_raised(self, world: World) -> set[str]:
        """Refusals that nobody may meet here, though others of their kind may elsewhere."""
        never = set()
        if not world.gone and not world.keys:
            never.add(parts.NOBODY)
        behind = self.scene.mirror is Mirror.BEHIND and self.scene.state.route.reads_tables
        if not behind and State.MIRROR_OFF not in (self.scene.state, *self.ends):
            never.add(parts.FROZEN)
        if not any(state.route.reads_tables for state in (self.scene.state, *self.ends)):
            never.add(parts.BESIDE)
        return never


@dataclass(kw_only=True)
class Outcome:
    """How many orders there were, and the first that ended wrongly."""

    scenario: Scenario
    orders: int = 0
    played: int = 0
    blocked: int = 0
    left_out: int = 0
    """Orders that begin as one that could not be kept."""
    order: Order | None = None
    wrong: Sequence[str] = ()

    def __str__(self) -> str:
        figures = f"{self.orders} orders, {self.played} played, {self.blocked} of them blocked"
        if not self.wrong:
            return f"{self.scenario.name}: {figures}; nothing wrong"
        steps = " ".join(self.scenario.parts[number].name for number in self.order or ())
        return f"{self.scenario.name}: after {figures}\n  {steps}\n  " + "\n  ".join(self.wrong)


def _names(error: Exception) -> set[str]:
    """The names by which a part says that it may end by this error."""
    return {type(error).__name__, sqlstate(error)}

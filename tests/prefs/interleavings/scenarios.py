"""The scenarios: who meets whom, in which state, and where it must end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations

from prefs.engine.repair import Direction
from prefs.engine.states import State
from tests.prefs.interleavings import operators as ops
from tests.prefs.interleavings import parts
from tests.prefs.interleavings.parts import Part
from tests.prefs.interleavings.scenario import Scenario
from tests.prefs.interleavings.scene import Mirror, Scene

WRITERS = (
    parts.merge,
    parts.change,
    parts.save_row,
    parts.prepare,
    parts.both_ways,
    parts.raw,
    parts.raw_of_all,
    parts.renumber,
    parts.previous,
    parts.merge_in_one_snapshot,
    parts.merge_twice,
    parts.insert,
    parts.delete,
)
# Those of one person who write leaves that no other of them writes.
_OF_DIFFERENT_LEAVES = (parts.merge, parts.merge_other, parts.change, parts.raw, parts.renumber)
# Those whose ways are played in all orders; the others take other code to the same statements.
_MAIN = (parts.merge, parts.raw)
_OTHERS = (
    parts.previous,
    parts.prepare,
    parts.both_ways,
    parts.merge_in_one_snapshot,
    parts.merge_twice,
    parts.insert,
    parts.delete,
)
# Those who write typed rows past our managers: where the tables alone are written, they may.
_OF_ROWS = (parts.raw_row, parts.raw_notification_row)
_ROUTED = (State.EXPANDED, State.DUAL_WRITE, State.READ_CUTOVER, State.MIRROR_OFF)
_MIRRORED = (State.DUAL_WRITE, State.READ_CUTOVER)
_DIRECTIONS = {State.DUAL_WRITE: Direction.FORWARD, State.READ_CUTOVER: Direction.REVERSE}
_MISSING = Scene(State.EXPANDED, Mirror.MISSING)
_COPIED = Scene(State.EXPANDED)
_OUT_OF_DATE = Scene(State.EXPANDED, Mirror.BEHIND)
_RETURNING = Scene(State.MIRROR_OFF, Mirror.BEHIND)


def _of(
    kind: str, scene: Scene, cast: Sequence[Part], *ends: State, converges: bool = True
) -> Scenario:
    who = " and ".join(part.name for part in cast)
    return Scenario(
        name=f"{kind} in {scene.state}, mirror {scene.mirror.value}: {who}",
        scene=scene,
        parts=cast,
        ends=ends or (scene.state,),
        converges=converges,
    )


def _ways() -> Iterable[Scenario]:
    """The operator's whole way, forward and back, against every kind of writer."""
    for way in _all_ways():
        main = way.parts[0] in _MAIN
        yield way if main else replace(way, at_most=60)


def _all_ways() -> Iterable[Scenario]:
    for writer in (*WRITERS, ops.COPY):
        yield _of("way", _MISSING, [writer, ops.FORWARD], State.READ_CUTOVER)
    for writer in (*_MAIN, parts.previous, parts.prepare):
        yield _of("way", _COPIED, [writer, ops.FORWARD], State.READ_CUTOVER)
    yield _of("way", _OUT_OF_DATE, [parts.raw, ops.FORWARD], State.READ_CUTOVER)
    for writer in (*_MAIN, *_OTHERS):
        yield _of("way", _RETURNING, [writer, ops.BACK], State.DUAL_WRITE)
    for writer in (parts.merge, parts.prepare, *_OF_ROWS):
        yield _of("way", Scene(State.MIRROR_OFF), [writer, ops.BACK], State.DUAL_WRITE)
    for pair in ((parts.merge, parts.raw), (parts.previous, ops.COPY)):
        yield _of("way", _MISSING, [*pair, ops.FORWARD], State.READ_CUTOVER)
    # Who has another key when catch-up comes to lock them is found by the verification.
    for scene in (_MISSING, _COPIED):
        refused = replace(ops.FORWARD, may_raise=(ops.REFUSED,))
        yield _of("way", scene, [parts.rekey, refused], *_MIRRORED, converges=False)


def _switched_off() -> Iterable[Scenario]:
    """The mirror switched off, on either side of the cutover."""
    for source, target in (
        (State.READ_CUTOVER, State.MIRROR_OFF),
        (State.DUAL_WRITE, State.EXPANDED),
    ):
        for writer in (*WRITERS, parts.rekey):
            yield _of("flip", Scene(source), [ops.turning(target), writer], target)
    off = ops.turning(State.MIRROR_OFF)
    for writer in _OF_ROWS:
        cast = [off, writer]
        yield _of("flip", Scene(State.READ_CUTOVER), cast, State.MIRROR_OFF)


def _pairs() -> Iterable[Scenario]:
    """Two writers of one person in each route: what both were told is there."""
    for state in _ROUTED:
        for pair in combinations(_OF_DIFFERENT_LEAVES, 2):
            yield _of("pair", Scene(state), pair)
        for writer in (parts.merge, parts.change, parts.raw, parts.merge_twice):
            yield _of("pair", Scene(state), [parts.previous, writer])
        for writer in (parts.merge, parts.raw):
            yield _of("pair", Scene(state), [parts.stamped, writer])
        yield _of("pair", Scene(state), [parts.both_ways, parts.raw])
        yield _of("pair", Scene(state), [parts.insert, parts.raw_of_all])
    for writer in (parts.merge, parts.merge_other, parts.previous):
        cast = [parts.raw_row_of_a_locked_user, writer]
        yield _of("pair", Scene(State.MIRROR_OFF), cast)


def _gone() -> Iterable[Scenario]:
    """Somebody is deleted, or gets another key, while others write."""
    for state in _ROUTED:
        for writer in (*WRITERS, parts.rekey):
            yield _of("gone", Scene(state), [parts.delete, writer])
        for writer in (parts.merge, parts.change, parts.raw, parts.previous, parts.both_ways):
            yield _of("rekeyed", Scene(state), [parts.rekey, writer])
    for leaver in (parts.delete, parts.rekey):
        for scene in (_MISSING, Scene(State.DUAL_WRITE, Mirror.MISSING)):
            yield _of("gone", scene, [leaver, ops.COPY], converges=False)
        for state, direction in _DIRECTIONS.items():
            repair = ops.repairing(direction)
            for mirror in (Mirror.BEHIND, Mirror.EQUAL):
                scene = Scene(state, mirror)
                yield _of("gone", scene, [leaver, repair], converges=leaver is parts.delete)


def _background() -> Iterable[Scenario]:
    """Repair and copy against writers: they overwrite nothing that is newer."""
    for state, direction in _DIRECTIONS.items():
        repair = ops.repairing(direction)
        for writer in WRITERS:
            yield _of("repair", Scene(state, Mirror.BEHIND), [repair, writer])
        yield _of("repair", Scene(state, Mirror.BEHIND), [repair, parts.merge, parts.previous])
        yield _of("repair", Scene(state, Mirror.BEHIND), [repair, repair, parts.raw])
    on = ops.turning(State.DUAL_WRITE)
    for writer in (parts.merge, parts.raw, parts.previous, parts.delete, parts.change):
        cast = [ops.COPY, writer, on]
        copying = _of("copy", _MISSING, cast, State.DUAL_WRITE, converges=False)
        yield copying if writer in _MAIN else replace(copying, at_most=60)
        uncopied = Scene(State.DUAL_WRITE, Mirror.MISSING)
        yield _of("copy", uncopied, [ops.COPY, writer], converges=writer is not parts.delete)


def _hidden() -> Iterable[Scenario]:
    """What a role does over all users, from whom row security hides some."""
    for state in (State.EXPANDED, State.DUAL_WRITE):
        yield _of("hidden", Scene(state, Mirror.MISSING), [ops.TENANT], converges=False)


def _evidence() -> Iterable[Scenario]:
    """What a verification found is so, also beside an operator who asks for none."""
    for writer in (parts.merge, parts.raw, parts.insert):
        cast = [ops.VERIFICATION, writer, ops.HASTY]
        hasty = _of("evidence", _COPIED, cast, *_MIRRORED, converges=False)
        yield hasty if writer is parts.raw else replace(hasty, at_most=60)
    for writer in (*_MAIN, parts.previous):
        cast = [parts.hold, writer, ops.CAREFUL]
        yield _of("evidence", _COPIED, cast, State.DUAL_WRITE, converges=False)


def _canary() -> Iterable[Scenario]:
    """Some read the mirror, while it is raised, lowered, ended by a flip or by a mismatch."""
    up = Scene(State.DUAL_WRITE, verified=True)
    for writer in (*_MAIN, parts.previous, parts.change, parts.prepare):
        yield _of("canary", up, [ops.UP_AND_DOWN, writer, parts.read])
        over = [ops.UP_AND_OVER, writer, parts.read]
        yield _of("canary", up, over, State.READ_CUTOVER)
    for writer in _MAIN:
        # Who writes between the two flips writes the blob alone.
        back = [ops.THERE_AND_BACK, writer, parts.read]
        yield _of("canary", up, back, converges=False)
    mismatched = [ops.SLOWLY_UP, ops.MISMATCH, parts.read]
    yield _of("canary", up, mismatched, converges=False)


_ALL = (_ways, _switched_off, _pairs, _gone, _background, _hidden, _evidence, _canary)
SCENARIOS = {scenario.name: scenario for some in _ALL for scenario in some()}

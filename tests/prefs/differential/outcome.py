"""What came of an operation, and in what two outcomes differ."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from django.db import connection
from django.db.models import signals
from django.test.utils import CaptureQueriesContext

from tests.prefs.differential.canon import ABSENT, as_text, canon, neutral, parts
from tests.prefs.differential.operations import Operation
from tests.prefs.differential.statements import counted
from tests.prefs.differential.world import World

_SIGNALS = {
    name: getattr(signals, name)
    for name in ("pre_save", "post_save", "pre_delete", "post_delete", "m2m_changed")
}
_TOLD = ("created", "update_fields", "raw", "action", "pk_set", "reverse")


@dataclass(kw_only=True)
class Outcome:
    """Everything that code around an operation could notice."""

    result: Any = None
    # The exception; where in the operation it was raised.
    error: BaseException | None = None
    line: int | None = None
    signals: list[Any] = field(default_factory=list)
    documents: dict[int, str | None] = field(default_factory=dict)
    rows: dict[str, Any] = field(default_factory=dict)
    parted: list[int] = field(default_factory=list)
    # How many were sent, by kind.
    statements: Counter[str] = field(default_factory=Counter)


def run(world: World, operation: Operation) -> Outcome:
    """Do it, with nothing stored before, and look at everything afterwards."""
    world.clear()
    connection.queries_log.clear()
    outcome = Outcome()
    with _heard(world, outcome), CaptureQueriesContext(connection) as captured:
        try:
            outcome.result = canon(operation.work(world))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is compared
            outcome.error, outcome.line = error, _line(error.__traceback__, operation)
    outcome.statements = counted(query["sql"] for query in captured)
    assert not connection.in_atomic_block, "the operation left a transaction open"
    outcome.documents, outcome.rows = world.documents(), world.rows()
    outcome.parted = world.parted()
    return outcome


def _line(trace: TracebackType | None, operation: Operation) -> int | None:
    """The last line of the operation's own code that the exception came through."""
    found = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == operation.work.__code__.co_filename:
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


@contextmanager
def _heard(world: World, outcome: Outcome) -> Iterator[None]:
    """Note each signal: what it says, the document there and then, and what others see."""
    roles = set(world.family.roles.values()) | {world.team.members.through}

    def hear(name: str, sender: Any, instance: Any = None, **told: Any) -> None:
        if sender not in roles:
            return
        saved = isinstance(instance, world.user)
        outcome.signals.append(
            {
                "signal": name,
                "sender": neutral(sender.__name__),
                **{key: canon(told[key]) for key in _TOLD if key in told},
                "in a transaction": connection.in_atomic_block,
                "holds": as_text(instance.__dict__.get("preferences", "nothing"))
                if saved and _printable(instance)
                else None,
                "others see": world.committed(instance.pk)
                if saved and isinstance(instance.pk, int)
                else None,
            }
        )

    receivers = {name: functools.partial(hear, name) for name in _SIGNALS}
    for name, signal in _SIGNALS.items():
        signal.connect(receivers[name], weak=False)
    try:
        yield
    finally:
        for name, signal in _SIGNALS.items():
            signal.disconnect(receivers[name])


def _printable(instance: Any) -> bool:
    value = instance.__dict__.get("preferences")
    return value is None or isinstance(value, dict | list | str | int | float)


def differences(plain: Outcome, ours: Outcome) -> dict[str, tuple[str, str]]:
    """What differs: where, with the plain column, with ours."""
    found: dict[str, tuple[str, str]] = {}
    if not _same_error(plain.error, ours.error):
        found["error"] = _named(plain.error), _named(ours.error)
    elif plain.line != ours.line:
        found["line"] = str(plain.line), str(ours.line)
    for aspect in ("result", "signals", "documents", "rows"):
        if aspect == "result" and "error" in found:
            continue
        for path, *both in parts(getattr(plain, aspect), getattr(ours, aspect)):
            expected, got = (
                "there" if ABSENT in both and isinstance(each, dict) else str(each) for each in both
            )
            found[f"{aspect}{'' if path.startswith('[') else '.'}{path}"] = expected, got
    if ours.parted:
        found["stores"] = "the same", f"differ for {ours.parted}"
    return found


def _named(error: BaseException | None) -> str:
    return "none" if error is None else type(error).__name__


def _same_error(plain: BaseException | None, ours: BaseException | None) -> bool:
    """Whether the clause that catches the one catches the other."""
    if plain is None or ours is None:
        return plain is ours
    # DoesNotExist and MultipleObjectsReturned are classes of the model's own.
    if "." in type(plain).__qualname__:
        return neutral(type(plain).__qualname__) == neutral(type(ours).__qualname__)
    return isinstance(ours, type(plain))

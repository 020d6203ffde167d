"""Triggers and their functions made anew from their own text, with a part of it taken away."""

from __future__ import annotations

from prefs.sql.trigger_functions import functions
from prefs.sql.triggers import capture_triggers, guard_triggers
from tests.support.stores import query


def alter_function(name: str, *patches: tuple[str, str]) -> None:
    """Replace one of our trigger functions by its own text with these parts exchanged."""
    text = functions()[name].create
    for old, new in patches:
        assert old in text, old
        text = text.replace(old, new)
    query(text)


def alter_trigger(name: str, old: str, new: str) -> None:
    """The same for every trigger of that name."""
    for trigger in (*capture_triggers(), *guard_triggers()):
        if trigger.name == name:
            assert old in trigger.create, trigger.create
            query(trigger.create.replace(old, new))

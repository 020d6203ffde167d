"""All broken protocols by name: those of the engine, manager, triggers and canary."""

from tests.prefs.interleavings import broken_canary, broken_engine, broken_triggers, broken_writes
from tests.prefs.interleavings.protocols import PROTOCOLS

__all__ = ["PROTOCOLS", "broken_canary", "broken_engine", "broken_triggers", "broken_writes"]

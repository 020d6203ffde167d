"""All broken protocols by name: those of the engine, of the manager and of the triggers."""

from tests.prefs.interleavings import broken_engine, broken_triggers, broken_writes
from tests.prefs.interleavings.protocols import PROTOCOLS

__all__ = ["PROTOCOLS", "broken_engine", "broken_triggers", "broken_writes"]

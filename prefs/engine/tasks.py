"""Tasks: what the workers of a run do to its users, a subclass for each kind of run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from prefs.conf import Settings
from prefs.engine.batches import Control
from prefs.engine.leases import Tally
from prefs.engine.repair import count_users
from prefs.models import Run


@dataclass
class Task:
    """What a run does, phase by phase: all users in batches, or a chore.

    The chores are phases without batches. In phases that are `unlocked` a batch locks no user, so
    it may take longer.
    """

    chores: ClassVar[Collection[str]] = ()
    unlocked: ClassVar[Collection[str]] = ()

    alias: str
    settings: Settings
    control: Control

    @cached_property
    def total(self) -> int:
        """About how many users there are to take."""
        return count_users(self.alias)

    def batch(self, phase: str, cursor: Any, after: Any, upto: Any) -> Tally:
        """Do to the users of the key range (after, upto] what the phase is for.

        In the transaction of the batch, in which `cursor` is.
        """
        raise NotImplementedError

    def chore(self, phase: str) -> bool:
        """Do what a phase without batches is for; False where it was stopped. May be repeated."""
        raise NotImplementedError

    def phase_after(self, phase: str) -> Run.Phase | None:
        """The phase to begin when `phase` is done, if any; asked under the lock of the run."""
        return None

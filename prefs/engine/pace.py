"""How many users a batch takes: as many as fit its target time.

After each batch the size is scaled by target / time, by a factor between 1/2 and 2, so that
three batches change it eightfold; a lock that was not got or a time limit halves it at once.
GitLab's batched background migrations steer the same way (`batch_optimizer.rb`), by larger
steps of time.
"""

from __future__ import annotations

_FIRST = 500
_LARGEST = 20_000
# Below this a batch costs more than the users in it, so fewer are not much faster, unless each
# is very slow: then the batch takes many times its target.
_SMALLEST = 100
_VERY_SLOW = 10


class Pace:
    """The size of the next batch, in users; `target` is in seconds and may change."""

    def __init__(self, cap: int | None, target: float) -> None:
        self._largest = cap or _LARGEST
        self.size = min(_FIRST, self._largest) if cap is None else cap
        self.target = target

    def took(self, users: int, asked: int, seconds: float) -> None:
        """Learn from a batch that took so long. One that was cut short says nothing."""
        if users < asked or asked < self.size:
            return
        factor = min(2.0, max(0.5, self.target / seconds)) if seconds > 0 else 2.0
        smallest = 1 if seconds > _VERY_SLOW * self.target else min(_SMALLEST, self.size)
        self.size = min(self._largest, max(smallest, round(self.size * factor)))

    def missed(self, asked: int) -> None:
        """Halve at once."""
        self.size = max(1, asked // 2)

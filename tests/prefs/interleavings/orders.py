"""All orders of the steps of several parts, or a fixed choice of them where they are too many."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from math import factorial, prod

Order = tuple[int, ...]

# In the environment: play every order of every scenario, however many there are.
_ALL = "PREFS_ALL_INTERLEAVINGS"


def count(lengths: Sequence[int]) -> int:
    """How many orders there are of parts with so many steps."""
    return factorial(sum(lengths)) // prod(map(factorial, lengths))


def every(lengths: Sequence[int]) -> Iterator[Order]:
    """Every order that keeps each part's own, in lexicographic order."""
    if not any(lengths):
        yield ()
    for number, left in enumerate(lengths):
        if left:
            rest = [n - (place == number) for place, n in enumerate(lengths)]
            for tail in every(rest):
                yield (number, *tail)


def chosen(lengths: Sequence[int], at_most: int, sample: int) -> Iterator[Order]:
    """Every order where they are `at_most` so many or all are asked for, else a sample.

    The sample is the same in every run.
    """
    if count(lengths) <= at_most or os.environ.get(_ALL):
        yield from every(lengths)
        return
    shuffled, seen = random.Random(str(lengths)), set[Order]()
    steps = [number for number, left in enumerate(lengths) for _ in range(left)]
    while len(seen) < sample:
        shuffled.shuffle(steps)
        order = tuple(steps)
        if order not in seen:
            seen.add(order)
            yield order

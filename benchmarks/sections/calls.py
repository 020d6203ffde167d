"""`document` and `merge` in each route, and the plain ORM on the blob, call by call."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from django.db import transaction

from benchmarks.bench import Bench, alternating
from benchmarks.plain.models import User
from benchmarks.routes import PLAIN, Change, changes, databases_by_route
from benchmarks.series import Samples, Series
from prefs.models import UserPreferences
from prefs.rehearsal.record import merge_patch
from prefs.routing import Route

TITLE = "Calls"
HOW = (
    "One process, one connection for each route, a database of its own behind each; random users."
    " The contenders take turns of 200 calls, so that whatever the machine does meets all alike."
    " The value of a round is the median of its calls. Every merge changes one leaf, the same in"
    " each route, and waits for its commit to reach the disk. The plain ORM merges by"
    " `select_for_update`, Python and `save(update_fields=…)`."
)
_READS = 4_000
_WRITES = 2_000
_SLICE = 200
Call = Callable[[Any], object]


def measure(bench: Bench) -> list[Series]:
    """Milliseconds a call."""
    rng, samples = random.Random(bench.options.seed), Samples()
    with databases_by_route(bench) as aliases:
        users = list(User.objects.using(aliases[PLAIN]).values_list("pk", flat=True))
        reads, writes = _reads(aliases), _writes(aliases)
        for number in range(bench.options.rounds):
            chosen = {name: rng.choices(users, k=min(_READS, len(users))) for name in reads}
            take_turns(reads, chosen, samples)
            todo = changes(aliases[PLAIN], rng, _WRITES)
            take_turns(writes, dict.fromkeys(writes, todo), samples)
            bench.say(f"round {number + 1}: {len(todo)} merges in each route")
    return samples.series()


def take_turns(
    calls: Mapping[str, Call],
    arguments: Mapping[str, Sequence[Any]],
    samples: Samples,
    size: int = _SLICE,
) -> None:
    """Make the calls in slices, a contender after the other; the median of each is its sample."""
    took: dict[str, list[float]] = {name: [] for name in calls}
    for turn, begin in enumerate(range(0, max(map(len, arguments.values())), size)):
        for name in alternating(list(calls), turn):
            for argument in arguments[name][begin : begin + size]:
                began = time.perf_counter()
                calls[name](argument)
                took[name].append(time.perf_counter() - began)
    for name, times in took.items():
        samples.add(name, {"ms": statistics.median(times) * 1000})


def _reads(aliases: Mapping[str, str]) -> Mapping[str, Call]:
    blobs = User.objects.using(aliases[PLAIN]).values_list("preferences", flat=True)

    def of_the_blob(user: int) -> object:
        return blobs.get(pk=user)

    ours = {
        f"`document`, {route.name}": UserPreferences.objects.db_manager(aliases[route.name])
        for route in Route
    }
    return {"`values_list` of the blob": of_the_blob} | {
        name: manager.document for name, manager in ours.items()
    }


def _writes(aliases: Mapping[str, str]) -> Mapping[str, Call]:
    return {"merge by the plain ORM": partial(_plain_merge, aliases[PLAIN])} | {
        f"`merge`, {route.name}": partial(merge, aliases[route.name]) for route in Route
    }


def merge(alias: str, change: Change) -> None:
    """One merge by our manager."""
    UserPreferences.objects.db_manager(alias).merge(change.user, change.patch)


def _plain_merge(alias: str, change: Change) -> None:
    with transaction.atomic(using=alias):
        people = User.objects.using(alias).select_for_update().only("preferences")
        user = people.get(pk=change.user)
        user.preferences = merge_patch(user.preferences, change.patch)
        user.save(using=alias, update_fields=["preferences"])

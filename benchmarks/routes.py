"""One database for each route, all with the same users and both stores full; and writes to make."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.baselines import without_our_triggers
from benchmarks.bench import Bench
from benchmarks.data import in_state, rolled_back, seeded
from benchmarks.plain.models import User
from prefs.engine.seeding import sample
from prefs.mapping import LEAVES, Leaf
from prefs.routing import Route

PLAIN = "plain"


@dataclass(frozen=True, kw_only=True)
class Change:
    """A merge patch that changes one leaf of one user's document."""

    user: int
    patch: dict[str, Any]


@contextmanager
def databases_by_route(bench: Bench) -> Iterator[dict[str, str]]:
    """Django's aliases of them, by the route's name; `plain` has none of our triggers."""
    with ExitStack() as stack:
        found = {}
        for name, template in _templates(bench).items():
            database = stack.enter_context(bench.databases.copied(template))
            if name == PLAIN:
                without_our_triggers(bench.databases, database)
            found[name] = stack.enter_context(bench.databases.aliased(database))
        bench.databases.execute("postgres", "CHECKPOINT")
        yield found


def _templates(bench: Bench) -> dict[str, str]:
    return {
        PLAIN: seeded(bench, bench.options.users),
        Route.BLOB.name: rolled_back(bench),
        Route.BLOB_MIRRORED.name: in_state(bench, "dual_write"),
        Route.TABLES_MIRRORED.name: in_state(bench, "read_cutover"),
        Route.TABLES.name: in_state(bench, "mirror_off"),
    }


def changes(
    alias: str, rng: random.Random, size: int, among: Sequence[Any] | None = None
) -> list[Change]:
    """A change of one leaf for each of `size` users, all different, none already so."""
    if among is None:
        among = list(User.objects.using(alias).values_list("pk", flat=True))
    chosen = rng.sample(among, min(size, len(among)))
    stored = dict(User.objects.using(alias).filter(pk__in=chosen).values_list("pk", "preferences"))
    return [Change(user=user, patch=_patch(stored[user], rng)) for user in chosen]


def _patch(document: Any, rng: random.Random) -> dict[str, Any]:
    leaf = rng.choice(LEAVES)
    value = sample(leaf, rng)
    while value == _stored(document, leaf):
        value = sample(leaf, rng)
    patch = {leaf.name: value}
    for name in reversed(leaf.path[:-1]):
        patch = {name: patch}
    return patch


def _stored(document: Any, leaf: Leaf) -> Any:
    for name in leaf.path:
        document = document.get(name) if isinstance(document, dict) else None
    return document

"""The API through the whole of Django, and the same view over a plain JSONField."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from benchmarks.bench import Bench
from benchmarks.plain.models import User
from benchmarks.routes import PLAIN, Change, changes, databases_by_route
from benchmarks.sections.calls import take_turns
from benchmarks.series import Samples, Series
from benchmarks.serving import Client, log_in, served

TITLE = "The API"
HOW = (
    "A request over loopback to gunicorn with one worker, which keeps its connection to the"
    " database: session, user, document, ETag. Ours, and a site whose user model has a plain"
    " JSONField and whose view does the same by the ORM, by `select_for_update`, Python and"
    " `save()` where it merges. A database for each route, turns of 20 requests, random users who"
    " are logged in; a PATCH changes one leaf, and waits for its commit to reach the disk."
)
_USERS, _READS, _WRITES = 2_000, 1_000, 600
# Short: what the machine does besides changes within a second.
_TURN = 20
_PLAIN_VIEW = "the plain view"


def measure(bench: Bench) -> list[Series]:
    """Milliseconds a request."""
    rng, samples = random.Random(bench.options.seed), Samples()
    with databases_by_route(bench) as aliases, _clients(bench, aliases) as clients:
        keys = list(User.objects.using(aliases[PLAIN]).values_list("pk", flat=True))
        known = rng.sample(keys, min(_USERS, len(keys)))
        for alias in aliases.values():
            log_in(alias, known)
        for number in range(bench.options.rounds):
            reads = {f"GET, {name}": client.get for name, client in clients.items()}
            chosen = rng.choices(known, k=min(_READS, len(known)))
            take_turns(reads, dict.fromkeys(reads, chosen), samples, _TURN)
            todo = changes(aliases[PLAIN], rng, _WRITES, among=known)
            writes = {f"PATCH, {name}": _patching(client) for name, client in clients.items()}
            take_turns(writes, dict.fromkeys(writes, todo), samples, _TURN)
            bench.say(f"round {number + 1}: GET and PATCH by the API in each route")
    return samples.series()


@contextmanager
def _clients(bench: Bench, aliases: Mapping[str, str]) -> Iterator[dict[str, Client]]:
    """A client of a server on each database, by the route's name."""
    with ExitStack() as stack:
        yield {
            (_PLAIN_VIEW if name == PLAIN else name): stack.enter_context(
                served(bench, alias, _settings(name))
            )
            for name, alias in aliases.items()
        }


def _settings(name: str) -> str:
    return "benchmarks.site.settings" if name == PLAIN else "benchmarks.settings"


def _patching(client: Client) -> Callable[[Any], object]:
    def patch(change: Change) -> object:
        return client.patch(change.user, change.patch)

    return patch

"""Who wants a topic: `audience`, and a query of the blob by the ORM."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from benchmarks.bench import Bench, alternating, timed
from benchmarks.data import advance, seeded
from benchmarks.plain.models import User
from benchmarks.series import Samples, Series
from prefs.domains import Flag
from prefs.mapping import TOPICS, Leaf
from prefs.models import NotificationPreferences
from prefs.sql.expressions import path_literal
from prefs.sql.names import names

TITLE = "Audience"
HOW = (
    "The whole iteration, in `dual_write` (BLOB_MIRRORED) and in `read_cutover` (TABLES_MIRRORED),"
    " both stores full and vacuumed. The ORM asks the same database's blob by"
    " `filter(preferences__…=True)` and by `filter(preferences__contains=…)`, keys alone; the"
    " faster of the two is what counts."
)
_SHARES = {"1 %": 0.01, "30 %": 0.30}
FLAGS = [leaf for leaf in TOPICS.values() if isinstance(leaf.domain, Flag)]
Query = Callable[[], Iterable[Any]]


def measure(bench: Bench) -> list[Series]:
    """Seconds of a whole audience, and how many users are in it."""
    template = bench.databases.once(
        "audience", partial(turn_on, bench), seeded(bench, bench.options.users)
    )
    samples = Samples()
    with bench.databases.copied(template) as database:
        for state, route in (("dual_write", "BLOB_MIRRORED"), ("read_cutover", "TABLES_MIRRORED")):
            advance(bench, state, database)
            bench.databases.execute(database, "VACUUM")
            with bench.databases.aliased(database) as alias:
                _rounds(bench, alias, route, samples)
    bench.databases.forget(template)
    return samples.series()


def _rounds(bench: Bench, alias: str, route: str, samples: Samples) -> None:
    for number in range(bench.options.rounds):
        for share, leaf in zip(_SHARES, FLAGS, strict=False):
            queries = _queries(alias, leaf, route)
            for name in alternating(list(queries), number):
                outcome: dict[str, float] = {}
                with timed(outcome):
                    found = sum(1 for _ in queries[name]())
                samples.add(f"{share} on: {name}", {**outcome, "users": found})
        bench.say(f"round {number + 1}: audiences, {route}")


def _queries(alias: str, leaf: Leaf, route: str) -> dict[str, Query]:
    keys = User.objects.using(alias).values_list("pk", flat=True)
    contained: Any = True
    for name in reversed(leaf.path):
        contained = {name: contained}
    audience = NotificationPreferences.objects.db_manager(alias).audience
    return {
        "ORM, key lookup": partial(keys.filter, **{"__".join(("preferences", *leaf.path)): True}),
        "ORM, contains": partial(keys.filter, preferences__contains=contained),
        f"`audience`, {route}": partial(audience, leaf.path[1], leaf.path[2]),
    }


def turn_on(bench: Bench, database: str) -> None:
    """Have two topics on for so many of the users, wherever a document has the topic at all."""
    n = names()
    for (_, share), leaf in zip(_SHARES.items(), FLAGS, strict=False):
        path = path_literal(leaf.path)
        has = f"jsonb_typeof({n.blob} #> {path}) = 'boolean'"
        having = bench.databases.one(
            database, f"SELECT avg(CASE WHEN {has} THEN 1 ELSE 0 END)::float8 FROM {n.users}"
        )
        bench.databases.execute(
            database,
            f"UPDATE {n.users} SET {n.blob} = jsonb_set({n.blob}, {path},"
            f" to_jsonb(hashint8({n.key}) % 10000 + 10000 < {round(share / having * 20_000)}))"
            f" WHERE {has}",
        )
    bench.databases.execute(database, f"VACUUM FULL {n.users}")

"""Queries of users by their preferences: the ORM on our field, and on the plain column."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Count, F, Model, Q
from django.db.models.fields.json import KT

from benchmarks.bench import Bench, alternating, timed
from benchmarks.data import advance, seeded
from benchmarks.plain.models import User as PlainUser
from benchmarks.sections.audience import FLAGS, turn_on
from benchmarks.series import Samples, Series

TITLE = "Lookups"
HOW = (
    "The same query by the ORM on our field and on a plain JSONField over the blob of the same"
    " database, in alternating order, in `dual_write` (BLOB_MIRRORED) and in `read_cutover`"
    " (TABLES_MIRRORED), both stores full and vacuumed. Of the last group the worst is reported:"
    " the median of our rounds by that of the column's."
)
Ask = Callable[[Any], Any]
_TOPIC = "__".join(("preferences", *FLAGS[0].path))


def _page(users: Any) -> list[Any]:
    # Without the documents, which is another section's matter.
    return list(users.only("username", "last_login").order_by("pk")[:100])


NAMED: dict[str, Ask] = {
    "count by a leaf": lambda u: u.filter(preferences__theme="dark").count(),
    "first page of 100": lambda u: _page(u.filter(preferences__theme="dark")),
    "topic that 1 % have": lambda u: list(u.filter(**{_TOPIC: True}).values_list("pk", flat=True)),
}
OTHERS: dict[str, Ask] = {
    "in": lambda u: u.filter(preferences__theme__in=["dark", "light"]).count(),
    "greater": lambda u: u.filter(preferences__items_per_page__gt=20).count(),
    "null": lambda u: u.filter(preferences__theme=None).count(),
    "isnull": lambda u: u.filter(preferences__theme__isnull=True).count(),
    "text": lambda u: u.filter(preferences__language__icontains="e").count(),
    "key text": lambda u: u.annotate(t=KT("preferences__theme")).filter(t="dark").count(),
    "two leaves": lambda u: u.filter(preferences__theme=F("preferences__language")).count(),
    "negation": lambda u: u.exclude(preferences__theme="dark").count(),
    "negated topic": lambda u: u.exclude(**{_TOPIC: True}).count(),
    "and": lambda u: u.filter(preferences__theme="dark", **{_TOPIC: True}).count(),
    "or": lambda u: u.filter(Q(preferences__theme="dark") | Q(**{_TOPIC: True})).count(),
    "or another column": lambda u: u.filter(
        Q(preferences__theme="dark") | Q(username__endswith="7")
    ).count(),
    "and another column": lambda u: u.filter(
        preferences__theme="dark", username__endswith="7"
    ).count(),
    "not both": lambda u: u.exclude(preferences__theme="dark", username__endswith="7").count(),
    "unmapped key": lambda u: u.filter(preferences__beta__tour=5).count(),
    "has key": lambda u: u.filter(preferences__has_key="theme").count(),
    "has not": lambda u: u.exclude(preferences__has_key="theme").count(),
    "contains": lambda u: u.filter(preferences__contains={"theme": "dark"}).count(),
    "contained by": lambda u: u.filter(preferences__contained_by={"theme": "dark"}).count(),
    "empty document": lambda u: u.filter(preferences={}).count(),
    "inner object": lambda u: u.filter(preferences__notifications__email__isnull=False).count(),
    "order by a leaf": lambda u: list(u.order_by("preferences__theme", "pk").values("pk")[:100]),
    "groups": lambda u: list(u.values("preferences__theme").annotate(n=Count("pk")).order_by()),
    "condition of a count": lambda u: u.aggregate(
        n=Count("pk", filter=Q(preferences__theme="dark"))
    ),
}
PLAIN, OURS, TIMES = "plain column", "our field", "times the plain column's"


def measure(bench: Bench) -> list[Series]:
    """Seconds of each query on both, and how much longer the worst takes."""
    template = bench.databases.once(
        "lookups", partial(turn_on, bench), seeded(bench, bench.options.users)
    )
    found: list[Series] = []
    with bench.databases.copied(template) as database:
        for state, route in (("dual_write", "BLOB_MIRRORED"), ("read_cutover", "TABLES_MIRRORED")):
            advance(bench, state, database)
            bench.databases.execute(database, "VACUUM (ANALYZE)")
            with bench.databases.aliased(database) as alias:
                found += _rounds(bench, alias, route)
    bench.databases.forget(template)
    return found


def _rounds(bench: Bench, alias: str, route: str) -> list[Series]:
    samples = Samples()
    models: dict[str, type[Model]] = {PLAIN: PlainUser, OURS: get_user_model()}
    for number in range(bench.options.rounds):
        for query, ask in {**NAMED, **OTHERS}.items():
            for name in alternating(list(models), number):
                outcome: dict[str, float] = {}
                users = models[name]._default_manager.using(alias)
                with timed(outcome):
                    ask(users)
                samples.add(f"{query}: {name}, {route}", outcome)
        bench.say(f"round {number + 1}: lookups, {route}")
    median = {series.name: series.median for series in samples.series()}
    ratios = {
        query: median[f"{query}: {OURS}, {route}"] / median[f"{query}: {PLAIN}, {route}"]
        for query in OTHERS
    }
    worst = max(ratios, key=lambda query: ratios[query])
    bench.say(f"lookups, {route}: the worst is {worst!r}, {ratios[worst]:.2f} of the column's")
    return [
        *samples.series(),
        Series(name=f"the worst of the others, {route}", unit=TIMES, values=(ratios[worst],)),
    ]

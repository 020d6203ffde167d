"""`user.preferences` on our model and on one with a plain JSONField, call by call."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from django.contrib.auth import get_user_model

from benchmarks.bench import Bench
from benchmarks.plain.models import PlainAccount
from benchmarks.routes import PLAIN, databases_by_route
from benchmarks.sections.calls import take_turns
from benchmarks.series import Samples, Series
from prefs.routing import Route

TITLE = "The field"
HOW = (
    "Instances of the user model by the ORM, with all their fields: ours, and a model of the same"
    " table with a plain JSONField, on a database of its own for each route, by turns of 200 calls"
    " with random users. `get()` and a page read the documents; `save()` is one of a user whose"
    " `first_name` was changed, loaded before, and waits for its commit to reach the disk."
)
_CALLS = {"get()": 4_000, "page of 100": 400, "save() of another field": 1_000}
Call = Callable[[Any], object]


def measure(bench: Bench) -> list[Series]:
    """Milliseconds a call."""
    rng, samples = random.Random(bench.options.seed), Samples()
    with databases_by_route(bench) as aliases:
        keys = list(PlainAccount.objects.using(aliases[PLAIN]).values_list("pk", flat=True))
        contenders = {"plain field": PlainAccount.objects.using(aliases[PLAIN])} | {
            f"our field, {route.name}": get_user_model()._default_manager.using(aliases[route.name])
            for route in Route
        }
        for number in range(bench.options.rounds):
            for what, make in _MAKERS.items():
                chosen = rng.choices(keys, k=min(_CALLS[what], len(keys)))
                calls = {f"{what}, {name}": make(users) for name, users in contenders.items()}
                take_turns(calls, _arguments(what, calls, contenders, chosen), samples)
            bench.say(f"round {number + 1}: get(), page, save()")
    return samples.series()


def _arguments(
    what: str, calls: Mapping[str, Call], contenders: Mapping[str, Any], keys: list[Any]
) -> dict[str, list[Any]]:
    """What each call is given: a key, or an instance that was loaded before."""
    if not what.startswith("save"):
        return dict.fromkeys(calls, keys)
    loaded = [users.in_bulk(keys) for users in contenders.values()]
    return {name: [found[key] for key in keys] for name, found in zip(calls, loaded, strict=True)}


def _get(users: Any) -> Call:
    return lambda key: users.get(pk=key).preferences


def _page(users: Any) -> Call:
    return lambda key: [user.preferences for user in users.filter(pk__gte=key).order_by("pk")[:100]]


def _save_another_field(user: Any) -> None:
    user.first_name = "Grace" if user.first_name == "Ada" else "Ada"
    user.save()


_MAKERS: dict[str, Callable[[Any], Call]] = {
    "get()": _get,
    "page of 100": _page,
    "save() of another field": lambda _: _save_another_field,
}

"""Every way of reading, compared with the model. They take turns: a step is read in one way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prefs.models import NotificationPreferences, UserPreferences
from project.accounts.models import User
from tests.prefs.machine.documents import at, parse, readable, seen, spelled, text_of
from tests.prefs.machine.model import Model
from tests.support.steps import differences

_TOPICS = (("email", "marketing"), ("email", "digest"), ("push", "mentions"))
_NOBODY = 987_654_321
Answer = dict[int, Any]


def manager(model: Model, keys: Mapping[int, int]) -> tuple[Answer, Answer]:
    texts = UserPreferences.objects.texts([*keys.values(), _NOBODY])
    read = {key: parse(text) for key, text in texts.items()}
    return read, {keys[user]: model.document(user) for user in model.users}


def instances(model: Model, keys: Mapping[int, int]) -> tuple[Answer, Answer]:
    users = User.objects.filter(pk__in=_readable(model, keys))
    return {user.pk: spelled(user.preferences) for user in users}, _spelled(model, keys)


def values(model: Model, keys: Mapping[int, int]) -> tuple[Answer, Answer]:
    users = User.objects.filter(pk__in=_readable(model, keys))
    found = users.values_list("pk", "preferences")
    return {key: spelled(document) for key, document in found}, _spelled(model, keys)


def filters(model: Model, keys: Mapping[int, int]) -> tuple[Answer, Answer]:
    dark = User.objects.filter(preferences__theme="dark").values_list("pk", flat=True)
    expected = (user for user in model.users if at(model.document(user), "theme") == "dark")
    return dict.fromkeys(dark), dict.fromkeys(keys[user] for user in expected)


def audiences(model: Model, keys: Mapping[int, int]) -> tuple[Answer, Answer]:
    found, expected = {}, {}
    for number, (channel, topic) in enumerate(_TOPICS):
        found[number] = list(NotificationPreferences.objects.audience(channel, topic))
        wanting = (user for user in model.users if model.wants(user, f"{channel}_{topic}"))
        expected[number] = sorted(keys[user] for user in wanting)
    return found, expected


def difference(model: Model, keys: Mapping[int, int]) -> tuple[Answer, Answer]:
    if not model.has_column:
        return {}, {}
    return dict.fromkeys(differences()), dict.fromkeys(keys[u] for u in model.differing())


READERS: tuple[Callable[[Model, Mapping[int, int]], tuple[Answer, Answer]], ...] = (
    manager,
    instances,
    audiences,
    values,
    difference,
    filters,
)


def wrong(model: Model, keys: Mapping[int, int], turn: int) -> list[str]:
    """What the reader whose turn it is reads otherwise than the model has it."""
    read = READERS[turn % len(READERS)]
    found, expected = read(model, keys)
    numbers = {key: number for number, key in keys.items()}
    return [
        f"{read.__name__} has {_shown(found, key)} for {numbers.get(key, key)},"
        f" not {_shown(expected, key)}"
        for key in found.keys() | expected.keys()
        if key not in found or key not in expected or found[key] != expected[key]
    ]


def _shown(answer: Answer, key: int) -> str:
    if key not in answer:
        return "nothing"
    return str(answer[key]) if isinstance(answer[key], str | list) else str(text_of(answer[key]))


def _readable(model: Model, keys: Mapping[int, int]) -> list[int]:
    return [keys[user] for user in model.users if readable(model.document(user))]


def _spelled(model: Model, keys: Mapping[int, int]) -> Answer:
    users = (user for user in model.users if readable(model.document(user)))
    return {keys[user]: spelled(seen(model.document(user))) for user in users}

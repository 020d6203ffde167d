"""Made-up users with blobs of realistic variety, some of them odd on purpose.

Rendered from the mapping like everything else. The same seed makes the same documents.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import islice
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.db import connections, models, transaction

from prefs.domains import Choice, ClockTime, Flag, Shape, WholeNumber
from prefs.engine.states import State, current_state
from prefs.errors import Refused
from prefs.mapping import BLOB_COLUMN, LEAVES, Leaf
from prefs.sql.names import names, quote
from prefs.sql.places import placed

_BATCH = 10_000
_SET = 0.7
_EXTRAS = 0.15


def refuse_unless_blob(alias: str) -> None:
    """Raise Refused unless the blob is the one store that is read and written."""
    state = current_state(alias)
    if state is not State.EXPANDED:
        raise Refused(
            f"seed_prefs makes users with a blob, and only in the state expanded does everyone"
            f" read it; the state is {state}. Seed another database, or roll back first."
        )


def seed(alias: str, users: int, *, odd: float, seed: int, progress: Callable[[int], None]) -> int:
    """Add `users` users, a fraction `odd` of them with an odd blob; returns how many.

    Numbers their names on from those that are there. Commits batch by batch, and tells
    `progress` how many there are so far. Locks nothing but its own rows.
    """
    name_field = get_user_model().USERNAME_FIELD
    prefix = f"seed-{seed}-"
    named = get_user_model()._default_manager.using(alias)
    found = named.filter(**{f"{name_field}__startswith": prefix}).values_list(name_field, flat=True)
    numbered = (name.removeprefix(prefix) for name in found.iterator())
    # After the highest and not after so many: some may have been deleted since.
    begin = max((int(number) for number in numbered if number.isdecimal()), default=-1) + 1
    rng = random.Random(f"{seed}:{begin}")
    numbers = iter(range(begin, begin + users))
    done = 0
    while batch := list(islice(numbers, _BATCH)):
        _copy(alias, [(f"{prefix}{n}", blob(rng, odd)) for n in batch])
        done += len(batch)
        progress(done)
    return done


def _copy(alias: str, people: list[tuple[str, str | None]]) -> None:
    columns, row = _row_maker()
    listed = ", ".join([*map(quote, columns), names().blob])
    statement = f"COPY {names().users} ({listed}) FROM STDIN"
    with (
        transaction.atomic(using=alias),
        connections[alias].cursor() as cursor,
        cursor.copy(placed(statement, connections[alias])) as copy,
    ):
        for name, document in people:
            copy.write_row([*row(name), document])


def _row_maker() -> tuple[list[str], Callable[[str], list[Any]]]:
    """The columns of any user model to fill, and a function from a name to their values."""
    model = get_user_model()
    fields = [
        f
        for f in model._meta.concrete_fields
        if not isinstance(f, models.AutoField) and f.column != BLOB_COLUMN
    ]
    prototype = model(password=make_password(None))

    def row(name: str) -> list[Any]:
        return [
            name
            if f.attname == model.USERNAME_FIELD
            else f.get_default()
            if f.primary_key
            else getattr(prototype, f.attname)
            for f in fields
        ]

    return [str(f.column) for f in fields], row


def blob(rng: random.Random, odd: float) -> str | None:
    """The JSON text of one blob, None for SQL NULL."""
    document = usual_document(rng)
    if rng.random() < odd:
        return rng.choice(_ODDITIES)(rng, document)
    return json.dumps(document)


def usual_document(rng: random.Random) -> dict[str, Any]:
    """A document as most users have one: some leaves set, here and there a key of ours not."""
    document: dict[str, Any] = {}
    share = rng.choice((0.0, 0.3, _SET, _SET, 1.0))
    for leaf in LEAVES:
        if rng.random() < share:
            _put(document, leaf, sample(leaf, rng))
    if rng.random() < _EXTRAS:
        document["beta"] = {"tour": rng.randint(1, 9), "dismissed": ["intro", "tips"]}
    return document


def _put(document: dict[str, Any], leaf: Leaf, value: Any) -> None:
    node = document
    for name in leaf.path[:-1]:
        node = node.setdefault(name, {})
    node[leaf.name] = value


def sample(leaf: Leaf, rng: random.Random) -> Any:
    """A value inside the domain of a leaf."""
    match leaf.domain:
        case Flag():
            return rng.random() < 0.5
        case Choice(values=values):
            return rng.choice(values)
        case Shape(examples=examples):
            return rng.choice(examples)
        case WholeNumber(minimum=minimum, maximum=maximum):
            return rng.choice((minimum, maximum, 10, 25, 50, rng.randint(minimum, maximum)))
        case ClockTime():
            return f"{rng.randrange(24):02}:{rng.choice((0, 15, 30, 45)):02}"


_WRONG: Any = (None, "true", "", 0, -1, 10.0, 1e3, "24:00", "purple", [], {}, ["x"], 501, False)


def _wrong_value(rng: random.Random, document: dict[str, Any]) -> str:
    _put(document, rng.choice(LEAVES), rng.choice(_WRONG))
    return json.dumps(document)


def _wrong_parent(rng: random.Random, document: dict[str, Any]) -> str:
    deep = rng.choice([leaf for leaf in LEAVES if len(leaf.path) > 1])
    document[deep.path[0]] = rng.choice((None, [], "off", 1, {deep.path[1]: 5}))
    return json.dumps(document)


def _empty_objects(rng: random.Random, document: dict[str, Any]) -> str:
    deep = rng.choice([leaf for leaf in LEAVES if len(leaf.path) > 1])
    document[deep.path[0]] = rng.choice(({}, {deep.path[1]: {}}))
    return json.dumps(document)


def _not_an_object(rng: random.Random, document: dict[str, Any]) -> str | None:
    return rng.choice((None, "null", "[]", "5", '"dark"', "true", json.dumps([document])))


def _hostile(rng: random.Random, document: dict[str, Any]) -> str:
    document["notes"] = "%s"
    deep, long = "[" * 2000 + "]" * 2000, "0." + "1234567890" * 40
    hostile = (deep, "9" * 6000, long, "1.00", '"\\u00e9"')
    return json.dumps(document).replace('"%s"', rng.choice(hostile))


_ODDITIES: tuple[Callable[[random.Random, dict[str, Any]], str | None], ...] = (
    _wrong_value,
    _wrong_value,
    _wrong_parent,
    _empty_objects,
    _not_an_object,
    _hostile,
)

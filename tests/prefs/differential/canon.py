"""Results as plain values that can be compared, whatever family they came from.

Scalars are their `repr`, so that 1, 1.0 and True differ. Names of the two families, and times of
the run, are replaced by words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Any

from django.db import models

_NAMES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"differential[._]plainuser|accounts[._]user\b", re.IGNORECASE), "<users>"),
    (re.compile(r"\bPlainUser"), "User"),
    (re.compile(r"\bplainuser"), "user"),
    (re.compile(r"(?<=differential[._])(plain|ours)", re.IGNORECASE), ""),
    (re.compile(r"^(plain|ours)(?=[a-z]+(_id)?$)"), ""),
    (re.compile(r"\b(Plain|Ours)(?=[A-Z])"), ""),
    (re.compile(r"\bhistorical(plain|ours)", re.IGNORECASE), "historical"),
    (re.compile(r"20(2[5-9]|3\d)-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)?"), "<now>"),
    (re.compile(r"datetime\.datetime\(20(2[5-9]|3\d)[^)]*\)"), "<now>"),
)

ABSENT = "absent"


def neutral(text: str) -> str:
    """A text without the names of a family and without times of this run."""
    for pattern, word in _NAMES:
        text = pattern.sub(word, text)
    return text


def canon(value: Any) -> Any:
    """A value that equals that of the other family where the two are the same."""
    match value:
        case models.Model():
            return _instance(value)
        case Mapping():
            return {neutral(str(key)): canon(each) for key, each in value.items()}
        case set() | frozenset():
            return sorted(map(repr, map(canon, value)))
        case str() | bytes() | type():
            return _word(value)
        case Iterable():
            return ["tuple" if isinstance(value, tuple) else "list", *map(canon, value)]
        case _:
            return neutral(repr(value))


def _word(value: str | bytes | type) -> str:
    if isinstance(value, type):
        return neutral(value.__name__)
    return neutral(value if isinstance(value, str) else value.decode(errors="replace"))


def _instance(instance: models.Model) -> dict[str, Any]:
    """What is loaded of an instance, and nothing that loads more."""
    known = instance.__dict__
    fields = {field.attname for field in instance._meta.concrete_fields} | {"preferences"}
    return {
        "model": neutral(type(instance).__name__),
        **{neutral(name): canon(known[name]) for name in sorted(fields & known.keys())},
    }


def as_text(document: Any) -> str:
    """A document with the order of its keys, as Python has it."""
    return json.dumps(document)


def parts(expected: Any, got: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two such values differ: (path, the one, the other)."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in [*expected, *(key for key in got if key not in expected)]:
            both = expected.get(key, ABSENT), got.get(key, ABSENT)
            yield from parts(*both, f"{path}.{key}" if path else str(key))
    elif isinstance(expected, list) and isinstance(got, list):
        for place, both in enumerate(zip_longest(expected, got, fillvalue=ABSENT)):
            yield from parts(*both, f"{path}[{place}]")
    elif expected != got:
        yield path, expected, got

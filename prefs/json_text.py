"""JSON text from outside, looked through before any decoder or database sees it.

Python's decoder takes the last of duplicate keys, rounds numbers, takes NaN, and gives up at a
depth of its own; PostgreSQL takes the last of duplicate keys, too. Here each of these is refused by
its name, and no number is ever read: the text goes on as it came.
"""

from __future__ import annotations

import json
import re
from typing import Any

from prefs.codec import InvalidDocument, unstorable

MAX_DEPTH = 500
_SHOWN = 80
# A string whole, or one bracket outside of strings; an unfinished string takes the rest.
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]|[\]}]', re.DOTALL)


class _Unfit(ValueError):
    """What is wrong with a text."""


def structure(user_id: object, text: str, max_depth: int = MAX_DEPTH) -> Any:
    """The objects, arrays and strings of a JSON text; every number in it is 0.

    Raises InvalidDocument, which names the user: no JSON, a key given twice, NaN and Infinity, a
    character that jsonb cannot store, nested more than `max_depth` deep.
    """
    try:
        return _structure(text, max_depth)
    except _Unfit as error:
        raise InvalidDocument(user_id, {"": str(error)}) from error


def _structure(text: str, max_depth: int) -> Any:
    if text.startswith("\ufeff"):
        raise _Unfit("it begins with a byte order mark, which is no part of JSON")
    _refuse_depth(text, max_depth)
    try:
        found = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _Unfit(f"it is not JSON: {error.msg} at {where}") from error
    # Text has such a character by an escape alone, or raw, where it did not come as UTF-8.
    if "\\u" in text or unstorable(text):
        _refuse_unstorable(found)
    return found


def _refuse_depth(text: str, max_depth: int) -> None:
    if text.count("[") + text.count("{") <= max_depth:
        return
    depth = 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth > max_depth:
                raise _Unfit(
                    f"nested more than {max_depth} deep at character {token.start() + 1};"
                    f" expected at most {max_depth}"
                )
        elif token[0] in "]}":
            depth -= 1


def _refuse_unstorable(found: Any) -> None:
    waiting = [found]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting += [*each, *each.values()]
        elif isinstance(each, list):
            waiting += each
        elif isinstance(each, str) and unstorable(each):
            raise _Unfit(f"{each[:_SHOWN]!r} holds a character that jsonb cannot store")


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        seen: set[str] = set()
        twice = next(key for key, _ in members if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Unfit(f"the key {_quoted(twice)} is given twice in one object")
    return found


def _quoted(key: str) -> str:
    return json.dumps(key if len(key) <= _SHOWN else key[:_SHOWN] + "…")


def _number(_: str) -> int:
    return 0


def _constant(name: str) -> Any:
    raise _Unfit(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_number,
    parse_float=_number,
    parse_constant=_constant,
)

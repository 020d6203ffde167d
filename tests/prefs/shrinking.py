"""Makes a document that fails small: takes out members and shortens keys while it goes on failing.

It works on JSON text, so that numbers, keys given twice and their order stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from tests.support.strategies import Text


class _Number(str):
    """The text of a number."""

    __slots__ = ()


class _Members(list[Any]):
    """The (key, value) pairs of an object, a key given twice included."""


def boil_down(text: Text, fails: Callable[[Text], bool]) -> Text:
    """A smaller document that fails as well; the same one where none does."""
    for smaller in _smaller(text):
        if fails(smaller):
            return boil_down(smaller, fails)
    return text


def _smaller(text: Text) -> Iterator[str]:
    if text is None:
        return
    try:
        tree = json.loads(text, parse_int=_Number, parse_float=_Number, object_pairs_hook=_Members)
        yield from map(_text, _without_a_piece(tree))
        yield from map(_text, _with_a_shorter_key(tree))
    except RecursionError:
        return


def _without_a_piece(value: Any) -> Iterator[Any]:
    """The value with one piece left out, the largest pieces first."""
    if not isinstance(value, list):
        return
    kind = type(value)
    for at in range(len(value)):
        yield kind(value[:at] + value[at + 1 :])
    for at, item in enumerate(value):
        for less in _without_a_piece(item[1] if kind is _Members else item):
            piece = (item[0], less) if kind is _Members else less
            yield kind([*value[:at], piece, *value[at + 1 :]])


def _with_a_shorter_key(value: Any) -> Iterator[Any]:
    """The value with one key cut down to its first character."""
    if not isinstance(value, list):
        return
    kind = type(value)
    for at, item in enumerate(value):
        key, below = item if kind is _Members else ("", item)
        if len(key) > 1:
            yield kind([*value[:at], (key[0], below), *value[at + 1 :]])
        for shorter in _with_a_shorter_key(below):
            piece = (key, shorter) if kind is _Members else shorter
            yield kind([*value[:at], piece, *value[at + 1 :]])


def _text(value: Any) -> str:
    if isinstance(value, _Members):
        return "{" + ", ".join(f"{json.dumps(key)}: {_text(below)}" for key, below in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    return str(value) if isinstance(value, _Number) else json.dumps(value)

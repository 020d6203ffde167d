"""Documents between Python and JSON text, and the errors that name what is wrong with one.

A document goes to PostgreSQL as text and comes back as text. What Python cannot write or
read is an error here, never a silent change, but for the digits of a fraction that a float
has no room for.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from prefs.domains import Shape
from prefs.errors import PrefsError
from prefs.mapping import LEAVES

MAX_PATCH_DEPTH = 100
_SHOWN = 80
# NUL, and halves of surrogate pairs.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class InvalidDocument(PrefsError, ValueError):
    """New input that was refused; nothing was written.

    `errors` has a message for every offending leaf, under its dotted name ("" stands for
    the whole document), and `expected` what was expected of each that its domain refused.
    """

    def __init__(
        self, user_id: object, errors: Mapping[str, str], expected: Mapping[str, str] | None = None
    ) -> None:
        self.user_id = user_id
        self.errors = dict(errors)
        self.expected = dict(expected or {})
        listed = "; ".join(f"{name or 'document'}: {text}" for name, text in self.errors.items())
        super().__init__(f"The preferences of user {user_id} were not changed. {listed}.")


class DocumentTooLong(InvalidDocument):
    """A document whose text would be longer than PREFS_MAX_DOCUMENT_BYTES, or than any can be."""

    def __init__(self, user_id: object, size: int | None, most: int) -> None:
        found = f"its text has {size} bytes" if size is not None else "its text cannot be built"
        super().__init__(user_id, {"": f"{found}; expected at most {most}"})


class UndecodableDocument(ValueError):
    """A stored document that Python's JSON decoder refuses (its depth, or its digits)."""

    def __init__(self, user_id: object, reason: BaseException) -> None:
        super().__init__(
            f"The document of user {user_id} is stored whole, but Python cannot decode it"
            f" ({type(reason).__name__}: {reason}). UserPreferences.objects.document_text"
            f"({user_id!r}) returns its JSON text."
        )


class UnprintableDocument(ValueError):
    """A stored document whose text is longer than PostgreSQL can build (1 GB)."""

    def __init__(self, user_id: object) -> None:
        super().__init__(
            f"The document of user {user_id} is stored whole, but its text is longer than"
            " PostgreSQL can build. Correct it in SQL: look for huge numbers in it."
        )


def encode(user_id: object, document: object, *, max_depth: int | None = None) -> str:
    """`document` as JSON text; InvalidDocument names what JSON or PostgreSQL cannot hold."""
    try:
        # First, because it finds circles, in which the check would walk for ever.
        text = json.dumps(document, allow_nan=False, ensure_ascii=False)
        _check(document, max_depth)
    except RecursionError:
        raise InvalidDocument(user_id, {"": "nested too deeply for Python to encode"}) from None
    except (TypeError, ValueError) as error:
        raise InvalidDocument(user_id, {"": str(error)}) from error
    return text


def sendable(user_id: object, text: object) -> str:
    """JSON text as PostgreSQL takes it; InvalidDocument for what is no text of its encoding."""
    if not isinstance(text, str):
        raise InvalidDocument(user_id, {"": f"it is a {type(text).__name__}, not JSON text"})
    if unstorable(text):
        message = f"{text[:_SHOWN]!r} holds a character that jsonb cannot store"
        raise InvalidDocument(user_id, {"": message})
    return text


def unstorable(text: str) -> bool:
    """Whether a text holds a character that PostgreSQL has in none of its own."""
    return _UNSTORABLE.search(text) is not None


def _check(document: object, max_depth: int | None) -> None:
    """Refuse what json.dumps would change silently, and what no jsonb can hold."""
    level = [document]
    depth = 0
    while level:
        if depth == max_depth and any(isinstance(v, dict | list | tuple) for v in level):
            raise ValueError(f"nested more than {max_depth} deep; expected at most {max_depth}")
        for text in _strings(level):
            if unstorable(text):
                raise ValueError(f"{text[:_SHOWN]!r} holds a character that jsonb cannot store")
        level = [child for value in level for child in _children(value)]
        depth += 1


def _strings(values: list[object]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    raise TypeError(f"the key {key!r} is not a string; JSON has no other keys")
                yield key


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else []


def decode(user_id: object, text: str | None, decoder: type[json.JSONDecoder] | None = None) -> Any:
    """The document of its JSON text; SQL NULL is None, as JSON null is.

    A site's own `decoder` reads numbers as it likes. Raises UndecodableDocument, which names
    the user.
    """
    if text is None:
        return None
    try:
        return json.loads(text, cls=decoder) if decoder else _DECODER.decode(text)
    except (RecursionError, ValueError) as error:
        raise UndecodableDocument(user_id, error) from error


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:_SHOWN]}… is too large for a float")
    return value


# Made once: json.loads would make one for every document.
_DECODER = json.JSONDecoder(parse_float=_finite)


def unknown_leaves(document: object) -> list[str]:
    """The dotted leaves of `document` that fail the test PostgreSQL cannot make.

    Only for values that are strings: any other is refused by its domain.
    """
    failed = []
    for leaf in LEAVES:
        value: object = document
        for name in leaf.path:
            value = value.get(name) if isinstance(value, dict) else None
        known = leaf.domain.known if isinstance(leaf.domain, Shape) else None
        if known is not None and isinstance(value, str) and not known(value):
            failed.append(leaf.dotted)
    return failed


def refusals(user_id: object, refused: str) -> InvalidDocument:
    """The error for what the writing statement refused: a JSON list of leaf, value, expected.

    The value is its JSON text in there: it may be one that Python cannot decode.
    """
    errors, expected = {}, {}
    for entry in json.loads(refused):
        shown = entry["value"]
        shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
        errors[entry["leaf"]] = f"{shown} is not {entry['expected']}"
        expected[entry["leaf"]] = entry["expected"]
    return InvalidDocument(user_id, errors, expected)

"""What each way of writing makes of a document, in plain Python.

A document here is a tree as `tests.support.reference.parse` gives it: numbers keep their digits,
ABSENT is SQL NULL. Nothing changes a tree that it was given, and nothing is shared with the code
under test.
"""

from __future__ import annotations

import copy
import json
import math
import zoneinfo
from decimal import Decimal
from functools import lru_cache
from typing import Any

from tests.support import reference
from tests.support.reference import ABSENT, Number

_ZONES = zoneinfo.available_timezones() - {"Factory", "localtime"}
_PAGE_SIZE = next(accept for leaf, _, accept in reference.LEAVES if leaf == "items_per_page")
_SHAPE = next(accept for leaf, _, accept in reference.LEAVES if leaf == "timezone")


@lru_cache(maxsize=1024)
def parse(text: str | None) -> Any:
    """The tree of a JSON text."""
    return reference.parse(text)


def text_of(tree: Any) -> str | None:
    """The JSON text of a tree."""
    return None if tree is ABSENT else _text(tree)


def _text(tree: Any) -> str:
    if isinstance(tree, dict):
        pairs = (f"{json.dumps(key)}: {_text(value)}" for key, value in tree.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(_text, tree)) + "]"
    return tree.text if isinstance(tree, Number) else json.dumps(tree)


def stored_as(value: Any) -> Any:
    """The tree that a Python value is stored as; None is JSON null."""
    return parse(json.dumps(value))


def seen(tree: Any) -> Any:
    """A tree as Python reads it. Raises ValueError where Python cannot."""
    text = text_of(tree)
    return None if text is None else json.loads(text, parse_float=_finite)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(text)
    return value


def readable(tree: Any) -> bool:
    """Whether Python can read it."""
    try:
        seen(tree)
    except ValueError:
        return False
    return True


def spelled(value: Any) -> str:
    """A Python value so that True, 1 and 1.0 differ, and the order of keys does not count."""
    return json.dumps(value, sort_keys=True)


def respelled(tree: Any) -> Any:
    """The same numbers, written otherwise: 1.0 for 1, and 1 for 1.0."""
    if isinstance(tree, dict):
        return {name: respelled(below) for name, below in tree.items()}
    if isinstance(tree, list):
        return list(map(respelled, tree))
    if not isinstance(tree, Number):
        return tree
    whole = tree.text.removesuffix(".0")
    return Number(f"{whole}.0" if whole == tree.text and "." not in whole else whole)


def merged(stored: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(stored) if isinstance(stored, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def saved(stored: Any, loaded: Any, value: Any) -> Any:
    """What is stored once somebody who had read `loaded` saves `value`, where those differ.

    What they left as they had read it stays as it is by now.
    """
    if not isinstance(value, dict) or (not value and not isinstance(loaded, dict)):
        return stored_as(value)
    known = loaded if isinstance(loaded, dict) else {}
    result = dict(stored) if isinstance(stored, dict) else {}
    for name in known.keys() - value.keys():
        result.pop(name, None)
    for name, below in value.items():
        if name in known and spelled(known[name]) == spelled(below):
            continue
        there, new = result.get(name), saved(result.get(name), known.get(name), below)
        emptied = new == {} and isinstance(known.get(name), dict)
        if not emptied or isinstance(there, dict):
            result[name] = new
    return result


def changed(stored: Any, change: Any) -> Any:
    """A change as prefs.sql.changes describes it; a removal never makes an object."""
    if isinstance(change, list):
        return stored_as(change[0]) if change else ABSENT
    result = dict(stored) if isinstance(stored, dict) else {}
    for name, below in change.items():
        there, new = result.get(name), None if below is None else changed(result.get(name), below)
        if below is None:
            result.pop(name, None)
        elif isinstance(below, list) or new != {} or isinstance(there, dict):
            result[name] = new
    return result


def edited(value: Any, path: str, new: str | None) -> Any:
    """Edit a Python document in place, as code does: set a leaf, or take it out (None)."""
    document = value if isinstance(value, dict) else {}
    *parents, last = path.split(".")
    node = document
    for name in parents:
        if not isinstance(node.get(name), dict):
            if new is None:
                return document
            node[name] = {}
        node = node[name]
    if new is None:
        node.pop(last, None)
    else:
        node[last] = json.loads(new)
    return document


def corrected(stored: Any, leaf: str, new: str | None) -> Any:
    """A document with `new` in the place of what stands at `leaf`."""
    if not leaf:
        return parse("{}" if new is None else new)
    result = copy.deepcopy(stored)
    *parents, last = leaf.split(".")
    node = result
    for name in parents:
        node = node[name]
    node.pop(last)
    if new is not None:
        node[last] = parse(new)
    return result


@lru_cache(maxsize=1024)
def _split(text: str | None) -> tuple[dict[str, Any], Any]:
    return reference.split(reference.parse(text))


def rows_of(tree: Any) -> tuple[dict[str, Any], Any]:
    """The typed columns and the residue of a document."""
    return _split(text_of(tree))


def quarantined(tree: Any) -> dict[str, Any]:
    """The entries of a document: leaf, or a parent in its place, and value."""
    return dict(reference.quarantined(rows_of(tree)[1]))


def refused(stored: Any, new: Any) -> bool:
    """Whether `new` has a leaf out of its domain that `stored` does not have."""
    for path, value in quarantined(new).items():
        there = at(stored, path)
        if there is ABSENT or _loose(there) != _loose(value):
            return True
        if path == "items_per_page" and _PAGE_SIZE(there) is not None:
            return True
    zone = at(new, "timezone")
    return _SHAPE(zone) is not None and zone not in _ZONES and at(stored, "timezone") != zone


def at(tree: Any, path: str) -> Any:
    """What stands at a path, ABSENT where nothing does."""
    for name in path.split(".") if path else []:
        tree = tree.get(name, ABSENT) if isinstance(tree, dict) else ABSENT
    return tree


def _loose(tree: Any) -> Any:
    """A tree in which 1 and 1.0 are equal, as they are to jsonb."""
    if isinstance(tree, dict):
        return {name: _loose(below) for name, below in tree.items()}
    if isinstance(tree, list):
        return list(map(_loose, tree))
    return ("number", Decimal(tree.text)) if isinstance(tree, Number) else (type(tree), tree)

"""What has to change in one document to make it another, as a change (see prefs.sql.changes).

Applied to the first document a difference gives exactly the second. Applied to one that others
have changed meanwhile it leaves their leaves as they are.
"""

from __future__ import annotations

import json
from typing import Any

from prefs.codec import MAX_PATCH_DEPTH

Change = dict[str, Any] | list[Any]


def replacement(document: Any) -> Change:
    """The change that makes any document this one; None is SQL NULL."""
    return [] if document is None else [document]


def difference(before: Any, after: Any) -> Change | None:
    """The change that makes `after` of `before`; None where they are the same document.

    Both are what a JSON decoder gives. True, 1 and 1.0 differ; the order of keys does not count.
    """
    if same(before, after):
        return None
    return replacement(None) if after is None else _below(before, after, MAX_PATCH_DEPTH)


def same(left: Any, right: Any) -> bool:
    """Whether two decoded values are one JSON value."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def _below(before: Any, after: Any, levels: int) -> Change:
    """Key by key, so that what others add to the same object stays; deep down as a whole."""
    if not isinstance(after, dict) or not levels or not (after or isinstance(before, dict)):
        return [after]
    known = before if isinstance(before, dict) else {}
    change: dict[str, Any] = dict.fromkeys(known.keys() - after.keys())
    for key, value in after.items():
        if key not in known or not same(known[key], value):
            change[key] = _below(known.get(key), value, levels - 1)
    return change

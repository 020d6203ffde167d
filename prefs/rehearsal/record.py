"""What one client knows of its own writes, kept outside the database.

Of an owned user the client knows the whole document; in a shared user it knows its own
counter. A write that failed may or may not have happened, so until it is read again either
value is right; a write that was acknowledged leaves one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2, in Python: the oracle for what SQL makes of a merge."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


@dataclass(kw_only=True)
class Record:
    """The writes and requests of one client process."""

    client: int
    documents: dict[str, list[Any]] = field(default_factory=dict)
    counters: dict[str, list[int]] = field(default_factory=dict)
    requests: list[tuple[float, float, bool]] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The name of this client's counter inside shared documents."""
        return f"client_{self.client}"

    def counter_in(self, document: Any) -> int:
        """This client's counter as a shared document has it, 0 where it has none."""
        node = document.get("rehearsal") if isinstance(document, dict) else None
        value = node.get(self.key) if isinstance(node, dict) else None
        return value if isinstance(value, int) else 0

    def saw_counter(self, user: str, document: Any) -> None:
        """Compare a read of a shared user with what was acknowledged."""
        self._saw(self.counters, user, self.counter_in(document), [0])

    def saw_document(self, user: str, document: Any) -> None:
        """Compare a read of an owned user with what was acknowledged."""
        self._saw(self.documents, user, document, [document])

    def _saw(self, known: dict[str, list[Any]], user: str, value: Any, first: list[Any]) -> None:
        allowed = known.setdefault(user, first)
        if value not in allowed:
            self.stale.append(f"user {user}: read {value!r:.200}, expected {allowed!r:.200}")
        known[user] = [value]

    def save(self, path: Path) -> None:
        """Write the record where the rehearsal looks for it, whole or not at all."""
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(vars(self)))
        partial.rename(path)

    @classmethod
    def load(cls, path: Path) -> Record:
        """The record that a client saved."""
        return cls(**json.loads(path.read_text()))

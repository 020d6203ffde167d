"""What is stored for somebody, part by part, as the page shows it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.db import connections

from prefs.codec import UnprintableDocument
from prefs.managers import lock_users
from prefs.mapping import Leaf, Node
from prefs.owners import no_such_user
from prefs.sql.asking import rows
from prefs.sql.parts import parts
from prefs.sql.writes import stored_text


@dataclass(frozen=True, kw_only=True)
class Part:
    """A leaf that is there, or what stands in the place of an object of leaves.

    The text is JSON; that of a part which does not `fit` is cut off where it is long.
    """

    text: str
    length: int
    fits: bool

    @property
    def left_out(self) -> int:
        """How many characters of its text are not shown."""
        return self.length - len(self.text)

    @property
    def value(self) -> Any:
        """The value of one that fits: such a one is short, and no number in it is rounded."""
        return json.loads(self.text)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The parts of one document by their dotted names."""

    parts: dict[str, Part]

    @classmethod
    def of(cls, text: str | None, alias: str) -> Stored:
        """Those of the document with this text, which the database `alias` takes apart."""
        found = rows(connections[alias], parts(), {"text": text})
        return cls(
            parts={
                name: Part(text=shown, length=length, fits=fits)
                for name, shown, length, fits in found
            }
        )

    @classmethod
    def locked(cls, owner: Any, alias: str) -> Stored:
        """Those of an owner's document in the store that a write of this transaction goes by.

        Takes the owner's row lock (FOR NO KEY UPDATE) until the transaction ends. Raises the user
        model's DoesNotExist, UnprintableDocument, and what locking a user raises.
        """
        with connections[alias].cursor() as cursor:
            locked = lock_users(cursor, [owner])
            if locked is None:
                raise no_such_user(owner)
            cursor.execute(stored_text(locked[0]), {"user": owner})
            [(text,)] = cursor.fetchall()
        if text == "":
            raise UnprintableDocument(owner)
        return cls.of(text, alias)

    def leaf(self, leaf: Leaf) -> Part | None:
        """What is stored of a leaf."""
        return self.parts.get(leaf.dotted)

    def odd(self, leaf: Leaf) -> Part | None:
        """The same where it does not fit."""
        part = self.leaf(leaf)
        return part if part is not None and not part.fits else None

    def instead_of(self, node: Node) -> Part | None:
        """What is stored where an object of leaves is expected, and would be lost with the first.

        A null says nothing that could be lost.
        """
        part = self.parts.get(node.dotted)
        return None if part is None or part.text == "null" else part

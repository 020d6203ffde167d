"""What stands for a document in each of the statements that find the users of a condition."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import BooleanField
from django.db.models.expressions import Expression

from prefs.lookups import ArmDocument
from prefs.mapping import Leaf, Node
from prefs.sql import expressions, leaves
from prefs.sql.leaves import Sql


class TypedDocument(ArmDocument):
    """The document of typed rows; remembers which of them it was asked for.

    `positive` says that the condition is under no negation: then it need not be told whether
    it is false or unknown.
    """

    def __init__(
        self, output_field: Any, *, columns_only: bool = False, positive: bool = False
    ) -> None:
        super().__init__(output_field)
        self.columns_only, self.positive = columns_only, positive
        self.rows: set[str] = set()

    def resolve_expression(self, *_: Any, **__: Any) -> TypedDocument:
        """The very same, which goes on remembering."""
        return self

    def at(self, keys: list[str]) -> Sql | None:
        """What it has at these keys; None for an inner object."""
        if found := leaves.leaf_at(keys):
            leaf, rest = found
            if self.columns_only:
                self.rows.add(leaves.row_of(leaf))
                return leaves.below(leaves.leaf_json(leaf, leaves.row_of(leaf)), rest)
            return leaves.below(self.leaf(leaf), rest)
        if leaves.is_outside(keys):
            self.rows.add("p")
            return leaves.below(leaves.residue_at(()), keys)
        return None

    def leaf(self, leaf: Leaf) -> str:
        """The value of a leaf."""
        self.name([leaf])
        return leaves.leaf_value(leaf)

    def is_there(self, node: Node) -> str:
        """Whether there is anything at an inner object."""
        self.name(leaves.leaves_below(node) if node.path else ())
        return leaves.is_there(node)

    def name(self, named: Iterable[Leaf]) -> None:
        """Take note that SQL names these leaves, and the residue."""
        self.rows |= {"p", *map(leaves.row_of, named)}

    def as_sql(self, compiler: Any, connection: Any) -> Sql:
        """Its SQL."""
        self.rows |= {"p", "n"}
        return f"({expressions.document('p', 'n')})", ()


class QuarantinedDocument(TypedDocument):
    """The document of a row where something is quarantined, asked for its leaves alone."""

    def leaf(self, leaf: Leaf) -> str:
        """The value of a leaf, by the row `p`."""
        return leaves.leaf_value_of_row(leaf)


class Part(Expression):
    """A piece of a condition: SQL and its parameters, and expressions of Django's."""

    conditional = True

    def __init__(self, *parts: Any) -> None:
        super().__init__(output_field=BooleanField())
        self.parts = parts

    def as_sql(self, compiler: Any, connection: Any) -> Sql:
        """Its SQL."""
        compiled = [p if isinstance(p, tuple) else compiler.compile(p) for p in self.parts]
        return joined(compiled)


def raw(sql: str) -> Sql:
    """SQL without parameters."""
    return sql, ()


def joined(parts: Iterable[Sql], by: str = "") -> Sql:
    """Pieces of SQL one after the other, with their parameters."""
    pieces = list(parts)
    parameters = tuple(value for _, values in pieces for value in values)
    return by.join(sql for sql, _ in pieces), parameters

"""Conditions on documents as a search for the users that they hold for.

A condition that is asked of everybody one by one costs a look into the tables for each. Asked
of the tables it is a scan, or an index. So it is compiled once for each store, with what stands
there for the document, and the users of all of them are those it holds for: as a whole, with all
its negations, so that three-valued logic stays PostgreSQL's own.

- the rows of the tables: a leaf is its column, or in the residue;
- where only leaves are asked for, and none by its absence: columns alone, which indexes and
  statistics serve, and the few rows with a quarantined value by an index of their own;
- users without rows: their document is `{}`;
- blobs, in the route that reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db.models import BooleanField
from django.db.models.expressions import Col, Expression, Value
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.lookups import IsNull, Lookup
from django.db.models.sql.where import AND, OR, WhereNode

from prefs.arms import QuarantinedDocument, TypedDocument, joined
from prefs.comparisons import by_rows
from prefs.lookups import (
    ArmDocument,
    DocumentKey,
    DocumentKeyText,
    is_document,
    key_of,
    path_of,
)
from prefs.sql import leaves
from prefs.sql.leaves import Sql


class Search(Expression):
    """Whether a user is one of those that a condition on documents holds for.

    Under a negation (not `positive`) it is whether the user is none of those that it is false
    for: what is neither true nor false is then left out, as it has to be. `sole` means that
    nothing else is asked of the query, so that all of them are wanted anyhow.
    """

    conditional = True

    def __init__(self, condition: WhereNode, *, positive: bool, sole: bool) -> None:
        super().__init__(output_field=BooleanField())
        self.condition = condition if positive else WhereNode([condition], negated=True)
        self.positive, self.sole = positive, sole

    def as_sql(self, compiler: Any, connection: Any) -> Sql:
        """The search, in the statement of the query."""
        document = next(documents(self.condition))
        key, _ = key_of(document).as_sql(compiler, connection)
        field = document.output_field
        blob = ArmDocument(field, leaves.blob_value(guarded=not self.sole))
        blobs = self._arm(compiler, blob, leaves.of_blobs, blob=True)
        rows = [arm for arm in self._of_rows(compiler, field) if arm is not None]
        if blobs is None and not rows:
            raise EmptyResultSet if self.positive else FullResultSet
        return self._stated(key, [blobs] if blobs else [], rows)

    def _stated(self, key: str, blobs: list[Sql], rows: list[Sql]) -> Sql:
        first, second = (rows, blobs) if self.sole else (blobs, rows)
        state = leaves.among if self.sole else leaves.exists
        sql = state(key, [sql for sql, _ in blobs], [sql for sql, _ in rows])
        parameters = joined([*first, *second])[1]
        return (sql if self.positive else f"NOT {sql}"), parameters

    def _of_rows(self, compiler: Any, field: Any) -> Iterator[Sql | None]:
        """The statements that find them in the tables; None for one that would find nobody."""
        if not by_columns(self.condition):
            typed = TypedDocument(field, positive=_is_positive(self.condition))
            yield self._arm(compiler, typed, lambda sql: leaves.of_rows(typed.rows, sql))
            yield self._arm(compiler, Value({}, output_field=field), leaves.of_nobodys_rows)
            return
        yield self._arm(compiler, QuarantinedDocument(field), leaves.of_quarantined_rows)
        columns = TypedDocument(field, columns_only=True)
        yield self._arm(compiler, columns, lambda sql: leaves.of_rows(columns.rows, sql))

    def _arm(
        self, compiler: Any, root: Any, statement: Callable[[str], str], *, blob: bool = False
    ) -> Sql | None:
        try:
            sql, parameters = compiler.compile(translated(self.condition, root))
        except EmptyResultSet:
            return None
        except FullResultSet:
            sql, parameters = "true", ()
        if not self.sole:
            sql = leaves.in_route(leaves.seldom(sql), blob=blob)
        return statement(sql), tuple(parameters)


class FirstSearch(Search):
    """A search for the first of the users, by key, that a condition on leaves holds for.

    Each statement finds as many as are wanted, so that those among all of them are there.
    """

    def __init__(self, condition: WhereNode, *, wanted: int, descending: bool) -> None:
        super().__init__(condition, positive=True, sole=True)
        self.wanted, self.descending = wanted, descending

    def _stated(self, key: str, blobs: list[Sql], rows: list[Sql]) -> Sql:
        return super()._stated(key, [*map(self._first, blobs)], [*map(self._first, rows)])

    def _of_rows(self, compiler: Any, field: Any) -> Iterator[Sql | None]:
        quarantined, columns = super()._of_rows(compiler, field)
        yield columns
        if quarantined and columns:
            sql = leaves.not_after(
                quarantined[0], columns[0], self.wanted, descending=self.descending
            )
            quarantined = sql, (*quarantined[1], *columns[1])
        yield quarantined

    def _first(self, arm: Sql) -> Sql:
        return leaves.first(arm[0], self.wanted, descending=self.descending), arm[1]


def documents(node: Any) -> Iterator[Col]:
    """The documents by route in an expression, but for those in subqueries of it."""
    if is_document(node):
        yield node
    elif hasattr(node, "get_source_expressions"):
        for inner in node.get_source_expressions():
            yield from documents(inner)


def names_document(node: Any) -> bool:
    """Whether there is one of these: asked of every query, so without a generator for each node."""
    if is_document(node):
        return True
    inner = getattr(node, "get_source_expressions", None)
    return inner is not None and any(map(names_document, inner()))


def translated(node: Any, root: ArmDocument | Value | None) -> Any:
    """A copy of an expression with `root` for the document, and our transforms for Django's.

    Without a root the document stays what it is.
    """
    if node is None or is_document(node):
        return node if root is None else root
    if isinstance(node, KeyTransform):
        below, keys = path_of(node)
        if is_document(below):
            *inner, last = keys
            value: Any = below if root is None else root
            for key in inner:
                value = DocumentKey(key, value)
            text = isinstance(node, KeyTextTransform)
            return (DocumentKeyText if text else DocumentKey)(last, value)
    if isinstance(root, TypedDocument) and (part := by_rows(node, root)):
        return part
    copy = node.clone() if isinstance(node, WhereNode) else node.copy()
    copy.set_source_expressions([translated(n, root) for n in node.get_source_expressions()])
    return copy


def _is_positive(node: Any) -> bool:
    """Whether it consists of lookups, and nothing tells one that is false from an unknown one."""
    if isinstance(node, WhereNode):
        in_line = not node.negated and node.connector in (AND, OR)
        return in_line and all(map(_is_positive, node.children))
    return isinstance(node, Lookup) and not any(map(_has_condition, node.get_source_expressions()))


def _has_condition(side: Any) -> bool:
    """Whether there is a condition in it, which a CASE may ask whether it is false."""
    if isinstance(side, Lookup | WhereNode):
        return True
    inner = side.get_source_expressions() if hasattr(side, "get_source_expressions") else ()
    return any(map(_has_condition, inner))


def by_columns(node: Any) -> bool:
    """Whether it can hold only where a leaf that it names is there.

    Then a user whose columns say so is one, and a user who has some of it quarantined is found
    among those.
    """
    if isinstance(node, WhereNode):
        return _is_positive(node) and all(by_columns(child) for child in node.children)
    if not isinstance(node, Lookup) or (isinstance(node, IsNull) and node.rhs):
        return False
    sides = node.get_source_expressions()
    return type(node).__module__.startswith("django.") and all(
        _is_leaf(side) or isinstance(side, Value) for side in sides
    )


def _is_leaf(side: Any) -> bool:
    root, keys = path_of(side)
    return is_document(root) and leaves.leaf_at(keys) is not None

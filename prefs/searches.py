"""The WHERE of a query with the conditions on documents gathered, so that each is one search."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db.models import BooleanField
from django.db.models.expressions import (
    Case,
    Col,
    CombinedExpression,
    Expression,
    Func,
    Value,
    When,
)
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.lookups import IsNull, Lookup
from django.db.models.sql import Query
from django.db.models.sql.where import AND, OR, XOR, WhereNode

from prefs.conditions import BlobDocument, TypedDocument, translated
from prefs.lookups import is_document, key_of, path_of
from prefs.sql import leaves
from prefs.sql.leaves import Sql

# What a condition may be made of to be asked of a row that is not in the query.
_PLAIN = (WhereNode, Lookup, Func, Value, Case, When, CombinedExpression)


class PreferencesQuery(Query):
    """A query of users; what it asks of documents it asks of the stores.

    A sliced query looks at documents one by one until it has enough, so it does not.
    """

    def get_compiler(
        self, using: str | None = None, connection: Any = None, elide_empty: bool = True
    ) -> Any:
        """The compiler of this query with its conditions gathered."""
        query = self
        if any(_documents(self.where)):
            query = self.clone()
            query.where = _gathered(self)
        return super(PreferencesQuery, query).get_compiler(using, connection, elide_empty)


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
        document = next(_documents(self.condition))
        key, _ = key_of(document).as_sql(compiler, connection)
        arms = [arm for arm in self._arms(compiler, document.output_field) if arm is not None]
        if not arms:
            raise EmptyResultSet if self.positive else FullResultSet
        found = (leaves.among if self.sole else leaves.exists)(key, [sql for sql, _ in arms])
        parameters = [value for _, values in arms for value in values]
        return (found if self.positive else f"NOT {found}"), parameters

    def _arms(self, compiler: Any, field: Any) -> Iterator[Sql | None]:
        """The statements that find them; None for one that would find nobody."""
        yield self._arm(compiler, BlobDocument(output_field=field), leaves.of_blobs)
        typed = TypedDocument(field, positive=_is_positive(self.condition))
        if not _by_columns(self.condition):
            yield self._arm(compiler, typed, lambda sql: leaves.of_rows(typed.rows, sql))
            yield self._arm(compiler, Value({}, output_field=field), leaves.of_nobodys_rows)
            return
        yield self._arm(compiler, typed, lambda sql: leaves.of_quarantined_rows(typed.rows, sql))
        columns = TypedDocument(field, columns_only=True)
        yield self._arm(compiler, columns, lambda sql: leaves.of_rows(columns.rows, sql))

    def _arm(self, compiler: Any, root: Any, statement: Callable[[str], str]) -> Sql | None:
        try:
            sql, parameters = compiler.compile(translated(self.condition, root))
        except EmptyResultSet:
            return None
        except FullResultSet:
            sql, parameters = "true", []
        return statement(sql if self.sole else leaves.seldom(sql)), list(parameters)


def _documents(node: Any) -> Iterator[Col]:
    """The documents by route in an expression, but for those in subqueries of it."""
    if is_document(node):
        yield node
    elif hasattr(node, "get_source_expressions"):
        for inner in node.get_source_expressions():
            yield from _documents(inner)


def _gathered(query: Query) -> WhereNode:
    where = query.where
    if query.is_sliced:
        return _one_by_one(where)
    if _is_search(where):
        tables = [alias for alias in query.alias_map if query.alias_refcount.get(alias)]
        sole = len(tables) == 1 and not query.select_related
        return WhereNode([Search(where, positive=True, sole=sole)])
    return _gathered_below(where, positive=True)


def _gathered_below(node: WhereNode, *, positive: bool) -> WhereNode:
    """A node whose conditions on documents are one search for each table of users in it."""
    if node.connector == XOR:
        return _one_by_one(node)
    positive ^= node.negated
    groups: dict[str, list[Any]] = {}
    result = WhereNode(connector=node.connector, negated=node.negated)
    for child in node.children:
        if _is_search(child):
            groups.setdefault(next(_documents(child)).alias, []).append(child)
        elif isinstance(child, WhereNode):
            result.children.append(_gathered_below(child, positive=positive))
        else:
            result.children.append(_one_by_one(child) if any(_documents(child)) else child)
    for children in groups.values():
        condition = WhereNode(children, connector=node.connector)
        result.children.append(Search(condition, positive=positive, sole=False))
    return result


def _one_by_one(node: Any) -> Any:
    return translated(node, None)


def _is_search(node: Any) -> bool:
    """Whether it asks of the document of one table of users, and of nothing else."""
    return len({document.alias for document in _documents(node)}) == 1 and _is_plain(node)


def _is_plain(node: Any) -> bool:
    if node is None or is_document(node):
        return True
    if not isinstance(node, _PLAIN) or node.contains_aggregate or node.contains_over_clause:
        return False
    return all(_is_plain(inner) for inner in node.get_source_expressions())


def _is_positive(node: Any) -> bool:
    """Whether it consists of lookups, and nothing tells one that is false from an unknown one."""
    if isinstance(node, WhereNode):
        joined = not node.negated and node.connector in (AND, OR)
        return joined and all(map(_is_positive, node.children))
    return isinstance(node, Lookup)


def _by_columns(node: Any) -> bool:
    """Whether it can hold only where a leaf that it names is there.

    Then a user whose columns say so is one, and a user who has some of it quarantined is found
    among those.
    """
    if isinstance(node, WhereNode):
        return _is_positive(node) and all(_by_columns(child) for child in node.children)
    if not isinstance(node, Lookup) or (isinstance(node, IsNull) and node.rhs):
        return False
    sides = node.get_source_expressions()
    return type(node).__module__.startswith("django.") and all(
        _is_leaf(side) or isinstance(side, Value) for side in sides
    )


def _is_leaf(side: Any) -> bool:
    if not isinstance(side, KeyTransform | KeyTextTransform):
        return False
    root, keys = path_of(side)
    return is_document(root) and leaves.leaf_at(keys) is not None

"""The WHERE of a query with the conditions on documents gathered, so that each is one search."""

from __future__ import annotations

import copyreg
from typing import Any

from django.db.models.expressions import Case, CombinedExpression, Func, Value, When
from django.db.models.lookups import Lookup
from django.db.models.sql import Query
from django.db.models.sql.where import AND, XOR, WhereNode

from prefs.conditions import FirstSearch, Search, by_columns, documents, names_document, translated
from prefs.lookups import is_document

# What a condition may be made of to be asked of a row that is not in the query.
_PLAIN = (WhereNode, Lookup, Func, Value, Case, When, CombinedExpression)


class PreferencesQuery(Query):
    """A query of users; what it asks of documents it asks of the stores.

    A sliced query looks at documents one by one until it has enough, so it does not, unless it
    wants the first by key.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        # Other releases know Django's alone.
        rebuild: Any = copyreg._reconstructor  # type: ignore[attr-defined]  # noqa: SLF001
        return rebuild, (Query, object, None), self.__getstate__()

    def get_compiler(
        self, using: str | None = None, connection: Any = None, elide_empty: bool = True
    ) -> Any:
        """The compiler of this query with its conditions gathered."""
        query: Query = self
        if names_document(self.where):
            query = self.clone()
            query.where = _gathered(self)
        return Query.get_compiler(query, using, connection, elide_empty)


def _gathered(query: Query) -> Any:
    where: Any = query.where
    if query.is_sliced:
        first: Any = _first(query) if _is_search(where) else None
        return _one_by_one(where) if first is None else WhereNode([first])
    if _is_search(where):
        where = Search(where, positive=True, sole=_is_of_one_table(query))
        return WhereNode([where])
    return _gathered_below(where, positive=True)


def _is_of_one_table(query: Query) -> bool:
    tables = [alias for alias in query.alias_map if query.alias_refcount.get(alias)]
    return len(tables) == 1 and not (query.select_related or query.extra_tables)


def _first(query: Query) -> Search | None:
    """The search for a slice in the order of the key, or in none; None for another order."""
    meta = query.get_meta()
    order = query.order_by or (query.default_ordering and meta.ordering) or ("pk",)
    first, key, wanted = order[0], meta.pk, query.high_mark
    grouped = query.group_by is not None or query.distinct or query.extra_order_by
    if grouped or wanted is None or not isinstance(first, str):
        return None
    if first.lstrip("-") not in ("pk", key.name) or not _is_of_one_table(query):
        return None
    descending = first.startswith("-") == query.standard_ordering
    by_leaves = by_columns(query.where)
    return FirstSearch(query.where, wanted=wanted, descending=descending) if by_leaves else None


def _gathered_below(node: WhereNode, *, positive: bool) -> Any:
    """A node whose conditions on documents are one search for each table of users in it."""
    positive ^= node.negated
    # What stands in HAVING is grouped by, and by the leaf itself.
    grouped = node.contains_aggregate or node.contains_over_clause
    if node.connector == XOR or (grouped and not (positive and node.connector == AND)):
        return _one_by_one(node)
    groups: dict[str, list[Any]] = {}
    result: Any = WhereNode(connector=node.connector, negated=node.negated)
    for child in node.children:
        if _is_search(child):
            groups.setdefault(next(documents(child)).alias, []).append(child)
        elif isinstance(child, WhereNode):
            result.children.append(_gathered_below(child, positive=positive))
        else:
            result.children.append(_one_by_one(child) if names_document(child) else child)
    for children in groups.values():
        condition = WhereNode(children, connector=node.connector)
        result.children.append(Search(condition, positive=positive, sole=False))
    return result


def _one_by_one(node: Any) -> Any:
    return translated(node, None)


def _is_search(node: Any) -> bool:
    """Whether it asks of the document of one table of users, and of nothing else."""
    return len({document.alias for document in documents(node)}) == 1 and _is_plain(node)


def _is_plain(node: Any) -> bool:
    if node is None or is_document(node):
        return True
    if not isinstance(node, _PLAIN) or node.contains_aggregate or node.contains_over_clause:
        return False
    return all(_is_plain(inner) for inner in node.get_source_expressions())

"""Keys of documents in queries: what asks for a mapped leaf does not build the document.

The key transforms of the document by route are Django's, so that every lookup of Django's goes
with them; only their SQL is another, where the path is a mapped leaf or leads out of the mapping.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db.models.expressions import Col, Expression
from django.db.models.fields.json import KeyTextTransform, KeyTransform, KeyTransformFactory

from prefs.sql import leaves
from prefs.sql.leaves import Sql


class DocumentColumn(Col):
    """What stands for a document by route in a query.

    Not its type but itself knows of our transforms: Django wants all the parts of an expression
    to have one type, and its type is a JSONField as any other.
    """

    def get_transform(self, name: str) -> Any:
        """A transform that is registered by this name, else that of the key."""
        return _key(name, super().get_transform(name))


def _key(name: str, found: Any) -> Any:
    return partial(DocumentKey, name) if isinstance(found, KeyTransformFactory) else found


class ArmDocument(Expression):
    """A document in one of the statements that find the users of a condition: SQL for it."""

    def __init__(self, output_field: Any, sql: str = "") -> None:
        super().__init__(output_field=output_field)
        self.sql = sql

    def as_sql(self, compiler: Any, connection: Any) -> Sql:
        """That SQL."""
        return self.sql, ()

    def at(self, keys: list[str]) -> Sql | None:
        """What it has at these keys; None where Django's own transform serves."""
        return None


class DocumentKey(KeyTransform):
    """The value at a path of a document."""

    def get_transform(self, name: str) -> Any:
        """A transform that is registered by this name, else that of the further key."""
        return _key(name, super().get_transform(name))

    def as_postgresql(self, compiler: Any, connection: Any) -> Sql:
        """Of a column or of the residue where one of them has it, else of the document."""
        found = _found(self, compiler, connection)
        return super().as_postgresql(compiler, connection) if found is None else found


class DocumentKeyText(KeyTextTransform):
    """The text of the value at a path of a document."""

    def as_postgresql(self, compiler: Any, connection: Any) -> Sql:
        """The text of what `DocumentKey` gives."""
        found = _found(self, compiler, connection)
        if found is None:
            return super().as_postgresql(compiler, connection)
        return f"({found[0]} #>> '{{}}')", found[1]


def path_of(expression: Any) -> tuple[Any, list[str]]:
    """What stands below the key transforms, and their keys; itself where it is none."""
    keys: list[str] = []
    root = expression
    while isinstance(root, KeyTransform):
        keys.insert(0, root.key_name)
        root = root.lhs
    return root, keys


def is_document(expression: Any) -> bool:
    """Whether it is the document by route of a table in the query."""
    return isinstance(expression, DocumentColumn)


def key_of(document: Col) -> Col:
    """The key of the user whose document it is."""
    key = document.target.model._meta.pk
    assert key is not None
    return Col(document.alias, key)


def _found(transform: KeyTransform, compiler: Any, connection: Any) -> Sql | None:
    root, keys = path_of(transform)
    if isinstance(root, ArmDocument):
        return root.at(keys)
    if is_document(root):
        key, _ = key_of(root).as_sql(compiler, connection)
        return leaves.scalar(key, keys)
    return None

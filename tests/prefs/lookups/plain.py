"""The reference: a table with a plain JSONField, which holds the documents of all users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.db import connection, models

from tests.support import stores
from tests.support.stores import Place


class Plain(models.Model):
    """Users as they were, as far as a query of these tests names them."""

    last_name = models.CharField(max_length=150)
    is_staff = models.BooleanField(default=False)
    preferences = models.JSONField(default=dict, blank=True, null=True)

    objects: ClassVar[models.Manager[Plain]] = models.Manager()

    class Meta:
        app_label = "plain_reference"
        default_permissions = ()

    def __str__(self) -> str:
        return f"the reference of user {self.pk}"


def fill(place: Place, texts: Sequence[str | None], *, uncopied: int = 0) -> list[int]:
    """Users with these documents, and in a table route some without rows; and their reference."""
    ids = stores.insert_users(place, texts)
    if place.route.reads_tables:
        more = stores.insert_users(place, ["{}"] * uncopied)
        for user in more:
            stores.delete_rows(user)
        ids, texts = [*ids, *more], [*texts, *["{}"] * uncopied]
    stores.query(
        "UPDATE accounts_user SET is_staff = id %% 3 = 0, last_name = chr(97 + (id %% 5)::int)"
        " WHERE id = ANY(%s)",
        [ids],
    )
    with connection.schema_editor() as editor:
        editor.create_model(Plain)
    stores.query(
        f"INSERT INTO {Plain._meta.db_table} SELECT u.id, u.last_name, u.is_staff, d.doc::jsonb"
        " FROM unnest(%s::bigint[], %s::text[]) d(id, doc) JOIN accounts_user u ON u.id = d.id",
        [ids, list(texts)],
    )
    return ids


def rows(result: Any) -> Any:
    """What a query gave, so that True, 1 and 1.0 differ."""
    return repr(list(result) if hasattr(result, "__iter__") else result)

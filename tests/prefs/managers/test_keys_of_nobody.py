"""A key that no user can have is an unknown user, by every method of the managers."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils.functional import lazystr
from pytest_django import DjangoDbBlocker

from prefs import owners
from prefs.models import UserPreferences
from tests.support import scratch
from tests.support.stores import NOBODY, Place, insert_user

IMPOSSIBLE: dict[str, Any] = {
    "a word": "nonsense",
    "nothing": None,
    "an empty string": "",
    "a NUL": "1\x00",
    "half a surrogate pair": "\ud800",
    "true": True,
    "false": False,
    "too large": 2**70,
    "too small": -(2**70),
    "more digits than are printed": 10**6000,
    "so many in a text": "9" * 6000,
    "a fraction": 1.5,
    "a decimal fraction": Decimal("1.5"),
    "infinite": float("inf"),
    "no number": float("nan"),
    "a dictionary": {"id": 1},
    "a list": [1],
    "an object": object(),
    "a complex number": 1 + 0j,
}
ONE: dict[str, Callable[[Any], Any]] = {
    "document": UserPreferences.objects.document,
    "document_text": UserPreferences.objects.document_text,
    "replace": lambda key: UserPreferences.objects.replace(key, {}),
    "merge": lambda key: UserPreferences.objects.merge(key, {"theme": "dark"}),
    "merge_text": lambda key: UserPreferences.objects.merge_text(key, '{"x": 1}'),
}
MANY: dict[str, Callable[[list[Any]], dict[Any, Any]]] = {
    "documents": UserPreferences.objects.documents,
    "texts": lambda keys: UserPreferences.objects.texts(key for key in keys),
}
CHANGES: dict[str, Callable[[list[Any]], dict[Any, Any]]] = {
    "change": lambda keys: UserPreferences.objects.change({key: {"x": [1]} for key in keys}),
    "change_texts": lambda keys: UserPreferences.objects.change_texts(
        dict.fromkeys(keys, '{"x": [1]}')
    ),
}


def ask_for_nobody(known: Any, keys: dict[str, Any]) -> list[str]:
    """What was found wrong with the answers for keys of nobody, beside a user who is there."""
    wrong = []
    for name, key in keys.items():
        wrong += [
            f"{each}, {name}: {found}" for each, call in ONE.items() if (found := asked(call, key))
        ]
        many = MANY if key.__hash__ is None else {**MANY, **CHANGES}
        answers = {each: list(call([known, key])) for each, call in many.items()}
        wrong += [f"{each}, {name}: {found}" for each, found in answers.items() if found != [known]]
    return wrong


def asked(call: Callable[[Any], Any], key: Any) -> str:
    """What is wrong with the answer for a key of nobody, or nothing."""
    try:
        with transaction.atomic():
            call(key)
    except get_user_model().DoesNotExist as error:
        good = "There is no user with the key" in str(error) and len(str(error)) < 200
        return "" if good else str(error)
    return "no error"


@pytest.mark.django_db
def test_a_key_of_nobody_is_an_unknown_user(place: Place) -> None:
    """Case A17: with integer keys; each a DoesNotExist, and left out where many are asked for."""
    known = insert_user(place, '{"theme": "dark"}')
    assert ask_for_nobody(known, {**IMPOSSIBLE, "unknown": NOBODY, "a UUID": uuid.uuid4()}) == []
    assert UserPreferences.objects.document(known) == {"theme": "dark", "x": 1}


@pytest.mark.django_db
def test_what_a_key_can_be_made_of_is_that_key() -> None:
    """Case A17: as in Django's own lookups, but for what would name another user."""
    made = [7, "7", 7.0, Decimal(7), lazystr("7")]
    assert owners.keys([*made, True, 7.5, "x", Decimal("sNaN")]) == [7] * 5


def test_a_key_of_nobody_is_an_unknown_user_where_keys_are_uuids(
    django_db_blocker: DjangoDbBlocker,
) -> None:
    """Case A17: `document("nonsense")` on a site whose users have UUIDs for keys."""
    with django_db_blocker.unblock(), scratch.database() as name:
        environ = scratch.environment(name)
        outcome = subprocess.run(
            [sys.executable, "-W", "error", "-m", "tests.uuid_site.nobody"],
            cwd=scratch.ROOT,
            env={**environ, "DJANGO_SETTINGS_MODULE": "tests.uuid_site.settings"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert outcome.returncode == 0, outcome.stderr
    assert json.loads(outcome.stdout) == []

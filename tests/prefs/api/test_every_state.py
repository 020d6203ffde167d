"""The same bytes and the same ETags in every state, of users among whom many are odd.

`PREFS_API_USERS=10000` asks for more of them.
"""

from __future__ import annotations

import os

import pytest

from prefs.engine import seeding
from prefs.engine.states import State
from tests.prefs.api.asking import Asking, asking_as, etag
from tests.prefs.canary.raising import set_sample, verified
from tests.support import steps
from tests.support.tampering import tamper

pytestmark = pytest.mark.slow

USERS = int(os.environ.get("PREFS_API_USERS", "250"))
Served = dict[int, tuple[bytes, str]]


def served(asking: Asking, keys: list[int]) -> Served:
    """Every user's body and ETag."""
    answers = ((key, asking.get(key)) for key in keys)
    return {key: (answer.content, answer["ETag"]) for key, answer in answers}


def seeded() -> tuple[Asking, list[int], Served]:
    """Users, a third of them odd; who may read them; and what is to be served of each."""
    seeding.seed(steps.ALIAS, USERS, odd=0.3, seed=12, progress=lambda _: None)
    texts = dict(
        steps.rows("SELECT id, coalesce(preferences::text, 'null') FROM accounts_user ORDER BY id")
    )
    [reader] = steps.add_users({})
    steps.rows("UPDATE accounts_user SET is_superuser = true WHERE id = %s", reader)
    asking = asking_as(reader, staff=True)
    return asking, list(texts), {key: (text.encode(), etag(text)) for key, text in texts.items()}


def test_every_user_is_served_the_same_in_every_state(site: str) -> None:
    asking, keys, expected = seeded()
    assert len(keys) == USERS
    for state in State:
        steps.go(state)
        assert served(asking, keys) == expected, state


def test_every_user_is_served_the_same_by_a_canary(site: str) -> None:
    asking, keys, expected = seeded()
    verified()
    for percent in (1, 50, 100):
        set_sample(percent)
        assert served(asking, keys) == expected, percent


def test_that_comparison_notices_one_digit(site: str) -> None:
    asking, keys, expected = seeded()
    steps.go(State.READ_CUTOVER)
    [(key,)] = steps.rows("SELECT min(user_id) FROM user_preferences WHERE residue IS NULL")
    tamper("UPDATE user_preferences SET residue = '{\"n\": 1.0}' WHERE user_id = %s", key)
    found = served(asking, keys)
    assert [each for each in keys if found[each] != expected[each]] == [key]

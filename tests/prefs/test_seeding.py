"""Seeded users: the same seed makes the same blobs, realistic ones, and odd ones on request."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from prefs.engine import seeding
from prefs.engine.quarantine import quarantined
from prefs.errors import Refused
from prefs.mapping import BLOB_COLUMN, LEAVES, Leaf
from prefs.routing import Route
from prefs.sql import copying
from tests.prefs.exactness import failures
from tests.support import reference
from tests.support.strategies import Batch, Text
from tests.support.tampering import turn


def blobs(count: int, odd: float, seed: int = 1) -> list[Text]:
    rng = random.Random(seed)
    return [seeding.blob(rng, odd) for _ in range(count)]


def seed(users: int, *, odd: float = 0.0, seed: int = 1) -> list[int]:
    told: list[int] = []
    done = seeding.seed("default", users, odd=odd, seed=seed, progress=told.append)
    assert done == users
    return told


def stored() -> dict[str, Text]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT username, {BLOB_COLUMN}::text FROM accounts_user ORDER BY id")
        return dict(cursor.fetchall())


def test_the_same_seed_makes_the_same_blobs_and_another_others() -> None:
    assert blobs(200, 0.3, seed=5) == blobs(200, 0.3, seed=5)
    assert blobs(200, 0.3, seed=5) != blobs(200, 0.3, seed=6)


def test_usual_documents_are_typed_whole_but_for_keys_that_are_not_ours() -> None:
    for text in blobs(1000, 0.0):
        document = reference.parse(text)
        _, residue = reference.split(document)
        assert residue in (reference.ABSENT, {}) or set(residue) == {"beta"}, text


def test_usual_documents_vary() -> None:
    texts = blobs(1000, 0.0)
    assert len(set(texts)) > 700
    set_leaves: Counter[str] = Counter()
    for text in texts:
        typed, _ = reference.split(reference.parse(text))
        set_leaves.update(column for column, value in typed.items() if value is not None)
    assert set(set_leaves) == {leaf.column for leaf in LEAVES}
    assert all(200 < count < 800 for count in set_leaves.values())


def test_odd_documents_are_of_every_kind() -> None:
    texts = blobs(1000, 1.0)
    assert None in texts
    assert {"null", "[]"} <= set(texts)
    assert any(text and "[" * 2000 in text for text in texts)
    assert any(text and "9" * 6000 in text for text in texts)
    roots = {text[0] for text in texts if text}
    assert roots >= {"{", "[", '"', "n", "t", "5"}


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.dotted)
def test_a_sample_is_inside_its_domain(leaf: Leaf) -> None:
    rng = random.Random(3)
    accept = {name: accept for name, _, accept in reference.LEAVES}[leaf.dotted]
    for _ in range(200):
        text = json.dumps(seeding.sample(leaf, rng))
        assert accept(reference.parse(text)) is not None, text


@pytest.mark.django_db
def test_seeded_blobs_come_back_byte_for_byte() -> None:
    texts = tuple(blobs(400, 0.5))
    with connection.cursor() as cursor:
        assert failures(cursor, Batch(texts, texts[::-1])) == []


@pytest.mark.django_db
def test_seeding_adds_so_many_users_and_tells_its_progress_after_each_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(seeding, "_BATCH", 40)
    assert seed(100) == [40, 80, 100]
    assert list(stored()) == [f"seed-1-{n}" for n in range(100)]
    user = get_user_model().objects.get(username="seed-1-0")
    assert user.is_active
    assert not user.has_usable_password()


@pytest.mark.django_db
def test_the_blobs_are_those_of_the_seed_and_the_fraction_is_odd() -> None:
    seed(500, odd=0.4, seed=9)
    rng = random.Random("9:0")
    made = [seeding.blob(rng, 0.4) for _ in range(500)]
    assert [reference.parse(t) for t in stored().values() if not t or len(t) < 1000] == [
        reference.parse(t) for t in made if not t or len(t) < 1000
    ]
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(id) FROM accounts_user")
        cursor.execute(copying.copy_missing(), {"after": None, "upto": cursor.fetchone()[0]})
    assert 50 < sum(quarantined("default").values()) < 250


@pytest.mark.django_db
def test_seeding_again_numbers_on_even_where_users_have_been_deleted() -> None:
    seed(10)
    seed(5, seed=11)
    get_user_model().objects.filter(username__in=["seed-1-0", "seed-1-4"]).delete()
    seed(3)
    names = [name for name in stored() if name.startswith("seed-1-")]
    assert names[-3:] == ["seed-1-10", "seed-1-11", "seed-1-12"]
    assert len(names) == 11
    assert "seed-11-4" in stored()


@pytest.mark.django_db
def test_seeding_no_users_does_nothing() -> None:
    assert seed(0) == []
    assert stored() == {}


@pytest.mark.django_db
def test_blobs_are_seeded_only_where_everyone_reads_them() -> None:
    seeding.refuse_unless_blob("default")
    turn(Route.BLOB_MIRRORED)
    with pytest.raises(Refused, match=r"the state is dual_write\. Seed another database"):
        seeding.refuse_unless_blob("default")
